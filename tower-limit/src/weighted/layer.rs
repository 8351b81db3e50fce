use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;
use tower_readiness::Observer;

use super::WeightedConcurrencyLimit;
use super::permits::Pool;
use super::service::Settings;
use crate::Event;
use crate::error::InvalidLimit;

/// Wraps services in [`WeightedConcurrencyLimit`]. They all share one limit.
#[derive(Clone)]
pub struct WeightedConcurrencyLimitLayer<W> {
    settings: Settings<W>,
}

impl<W> WeightedConcurrencyLimitLayer<W> {
    /// Creates a layer that limits the sum of the weights of the requests in flight to `max`.
    ///
    /// # Panics
    ///
    /// If `max` is zero.
    pub fn new<Req>(max: u32, weight: W) -> Self
    where
        W: Fn(&Req) -> u32,
    {
        Self::try_new(max, weight).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Creates a layer that limits the sum of the weights of the requests in flight to `max`.
    ///
    /// # Errors
    ///
    /// If `max` is zero.
    pub fn try_new<Req>(max: u32, weight: W) -> Result<Self, InvalidLimit>
    where
        W: Fn(&Req) -> u32,
    {
        if max == 0 {
            return Err(InvalidLimit::NoPermits);
        }
        let settings = Settings {
            pool: Arc::new(Pool::new(max)),
            weight,
            max_wait: None,
            observer: Observer::none(),
        };
        Ok(Self { settings })
    }

    /// Refuses requests that would have to wait. By default they wait.
    #[must_use]
    pub fn shed(self) -> Self {
        self.max_wait(Duration::ZERO)
    }

    /// Refuses requests that have waited for `max`. By default they wait as long as it takes.
    #[must_use]
    pub fn max_wait(mut self, max: Duration) -> Self {
        self.settings.max_wait = Some(max);
        self
    }

    /// Calls `observe` for each refused request.
    #[must_use]
    pub fn on_event(mut self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.settings.observer = Observer::new(observe);
        self
    }
}

#[cfg(feature = "http")]
crate::http::holding_layer!(WeightedConcurrencyLimitLayer<W>);

impl<W: Clone, S> Layer<S> for WeightedConcurrencyLimitLayer<W> {
    type Service = WeightedConcurrencyLimit<S, W>;

    fn layer(&self, service: S) -> WeightedConcurrencyLimit<S, W> {
        WeightedConcurrencyLimit::new(service, self.settings.clone())
    }
}

impl<W> fmt::Debug for WeightedConcurrencyLimitLayer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeightedConcurrencyLimitLayer")
            .field("settings", &self.settings)
            .finish()
    }
}

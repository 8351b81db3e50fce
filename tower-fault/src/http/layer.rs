use std::time::Duration;

use http::StatusCode;
use tower_layer::Layer;
use tower_readiness::Observer;
use tower_util::rng::SharedSplitMix;

use super::InjectHttpFault;
use super::service::Settings;
use crate::plan::check_share;
use crate::{Event, InvalidFault, Plan, Switch};

/// Wraps HTTP services in [`InjectHttpFault`].
#[derive(Clone, Debug)]
pub struct HttpFaultLayer {
    settings: Settings,
}

impl HttpFaultLayer {
    /// Creates a layer that injects the faults of `plan`, with a random seed, and switched on.
    pub fn new(plan: Plan) -> Self {
        Self {
            settings: Settings {
                plan,
                status: StatusCode::SERVICE_UNAVAILABLE,
                aborting: 0.0,
                abort_after: 0,
                max_delay_by_header: None,
                rng: SharedSplitMix::new(),
                switch: Switch::on(),
                observer: Observer::none(),
            },
        }
    }

    /// Sets the status of the requests that the plan fails. By default, 503.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.settings.status = status;
        self
    }

    /// Breaks off the bodies of this share of the responses, from 0 to 1, after `bytes`. By default, of none.
    ///
    /// # Errors
    ///
    /// If the share is not from 0 to 1.
    pub fn abort_bodies(mut self, share: f64, bytes: u64) -> Result<Self, InvalidFault> {
        self.settings.aborting = check_share(share)?;
        self.settings.abort_after = bytes;
        Ok(self)
    }

    /// Lets requests ask for faults in their [headers](super#headers), with delays of at most `max_delay`. By default, they
    /// cannot.
    #[must_use]
    pub fn by_header(mut self, max_delay: Duration) -> Self {
        self.settings.max_delay_by_header = Some(max_delay);
        self
    }

    /// Sets the seed: with the same seed, the same requests in the same order have the same faults. By default, it is random.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.rng = SharedSplitMix::with_seed(seed);
        self
    }

    /// Sets the switch by which to switch the faults off and on, those by header as well. By default, they are on.
    #[must_use]
    pub fn switch(mut self, switch: Switch) -> Self {
        self.settings.switch = switch;
        self
    }

    /// Calls `observe` for each injected fault.
    #[must_use]
    pub fn on_event(mut self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.settings.observer = Observer::new(observe);
        self
    }
}

impl<S> Layer<S> for HttpFaultLayer {
    type Service = InjectHttpFault<S>;

    fn layer(&self, service: S) -> Self::Service {
        InjectHttpFault::build(service, self.settings.clone())
    }
}

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use tower_layer::Layer;
use tower_readiness::Observer;

use super::flights::Flights;
use super::{Coalesce, Event};
use crate::error::InvalidCache;

/// Wraps services in [`Coalesce`]. They all share the calls in flight.
pub struct CoalesceLayer<F, K, R> {
    key: F,
    flights: Arc<Flights<K, R>>,
    observer: Observer<Event>,
}

impl<F, K: Hash + Eq, R> CoalesceLayer<F, K, R> {
    /// Creates a layer that sends one of the concurrent requests for which `key` returns the same key, with at most `max_keys` of
    /// them in flight. Requests for which it returns `None` are passed on.
    ///
    /// The keys are spread over up to 64 shards, at least 64 per shard if there are that many. As these do not fill up evenly,
    /// choose twice the number that you expect.
    ///
    /// # Panics
    ///
    /// If `max_keys` is zero.
    pub fn new<Req>(max_keys: usize, key: F) -> Self
    where
        F: Fn(&Req) -> Option<K>,
    {
        match Self::try_new(max_keys, key) {
            Ok(layer) => layer,
            Err(error) => panic!("{error}"),
        }
    }

    /// Like [`new`](Self::new), with an error instead of a panic.
    ///
    /// # Errors
    ///
    /// If `max_keys` is zero.
    pub fn try_new<Req>(max_keys: usize, key: F) -> Result<Self, InvalidCache>
    where
        F: Fn(&Req) -> Option<K>,
    {
        if max_keys == 0 {
            return Err(InvalidCache::NoKeys);
        }
        Ok(Self {
            key,
            flights: Arc::new(Flights::new(max_keys)),
            observer: Observer::none(),
        })
    }

    /// Returns the number of keys in flight.
    pub fn keys(&self) -> usize {
        self.flights.keys()
    }
}

impl<F, K, R> CoalesceLayer<F, K, R> {
    /// Calls `observe` for each request that joins a call, and for each that is sent alone for lack of room.
    #[must_use]
    pub fn on_event(mut self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observe);
        self
    }
}

impl<F: Clone, K, R, S> Layer<S> for CoalesceLayer<F, K, R> {
    type Service = Coalesce<S, F, K, R>;

    fn layer(&self, service: S) -> Self::Service {
        Coalesce::build(
            service,
            self.key.clone(),
            Arc::clone(&self.flights),
            self.observer.clone(),
        )
    }
}

impl<F: Clone, K, R> Clone for CoalesceLayer<F, K, R> {
    fn clone(&self) -> Self {
        Self {
            key: self.key.clone(),
            flights: Arc::clone(&self.flights),
            observer: self.observer.clone(),
        }
    }
}

impl<F, K, R> fmt::Debug for CoalesceLayer<F, K, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoalesceLayer").finish_non_exhaustive()
    }
}

use std::fmt;

use tower_layer::Layer;
use tower_readiness::Observer;

use crate::{Cache, Event, KeepAll, Store};

/// Wraps services in [`Cache`]. They all share the store.
pub struct CacheLayer<F, K, V, P = KeepAll> {
    store: Store<K, V>,
    key: F,
    keep: P,
    observer: Observer<Event>,
}

impl<F, K, V> CacheLayer<F, K, V> {
    /// Creates a layer that stores the response to each request for which `key` returns a key. Requests for which it returns
    /// `None` are passed on.
    pub const fn new<Req>(store: Store<K, V>, key: F) -> Self
    where
        F: Fn(&Req) -> Option<K>,
    {
        Self {
            store,
            key,
            keep: KeepAll,
            observer: Observer::none(),
        }
    }
}

impl<F, K, V, P> CacheLayer<F, K, V, P> {
    /// Stores only the responses for which `keep` returns `true`. By default, all of them.
    pub fn keep_if<Q>(self, keep: Q) -> CacheLayer<F, K, V, Q>
    where
        Q: Fn(&V) -> bool,
    {
        CacheLayer {
            store: self.store,
            key: self.key,
            keep,
            observer: self.observer,
        }
    }

    /// Calls `observe` for each hit, miss and eviction.
    #[must_use]
    pub fn on_event(mut self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observe);
        self
    }
}

impl<F: Clone, K, V, P: Clone, S> Layer<S> for CacheLayer<F, K, V, P> {
    type Service = Cache<S, F, K, V, P>;

    fn layer(&self, service: S) -> Self::Service {
        Cache::build(
            service,
            self.store.clone(),
            self.key.clone(),
            self.keep.clone(),
            self.observer.clone(),
        )
    }
}

impl<F: Clone, K, V, P: Clone> Clone for CacheLayer<F, K, V, P> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            key: self.key.clone(),
            keep: self.keep.clone(),
            observer: self.observer.clone(),
        }
    }
}

impl<F, K, V, P> fmt::Debug for CacheLayer<F, K, V, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheLayer")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

use std::fmt;
use std::hash::Hash;
use std::task::{Context, Poll};

use tower_readiness::{Observer, event};
use tower_service::Service;
use tower_util::Oneshot;

use crate::future::{Miss, ResponseFuture};
use crate::keep::Keep;
use crate::{Event, KeepAll, Store};

/// Stores responses and returns clones of them; see the [crate's documentation](crate).
pub struct Cache<S, F, K, V, P = KeepAll> {
    inner: S,
    store: Store<K, V>,
    key: F,
    keep: P,
    observer: Observer<Event>,
}

impl<S, F, K, V> Cache<S, F, K, V> {
    /// Stores the responses of `inner`, by the key that `key` returns for their requests.
    pub const fn new<Req>(inner: S, store: Store<K, V>, key: F) -> Self
    where
        F: Fn(&Req) -> Option<K>,
    {
        Self::build(inner, store, key, KeepAll, Observer::none())
    }
}

impl<S, F, K, V, P> Cache<S, F, K, V, P> {
    pub(crate) const fn build(
        inner: S,
        store: Store<K, V>,
        key: F,
        keep: P,
        observer: Observer<Event>,
    ) -> Self {
        Self {
            inner,
            store,
            key,
            keep,
            observer,
        }
    }

    /// Returns a reference to the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Consumes `self`, returning the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, F, K, P, Req> Service<Req> for Cache<S, F, K, S::Response, P>
where
    S: Service<Req, Response: Clone> + Clone,
    F: Fn(&Req) -> Option<K>,
    K: Hash + Eq,
    P: Keep<S::Response> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, Req, K, P>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let miss = match (self.key)(&request).map(|key| self.store.find(key)) {
            Some(Ok(found)) => {
                event!(DEBUG, "cache hit");
                self.observer.notify(&Event::Hit);
                return ResponseFuture::hit(S::Response::clone(&found));
            }
            Some(Err(vacancy)) => {
                event!(DEBUG, "cache miss");
                self.observer.notify(&Event::Miss);
                Some(Miss {
                    vacancy,
                    store: self.store.clone(),
                    keep: self.keep.clone(),
                    observer: self.observer.clone(),
                })
            }
            None => None,
        };
        ResponseFuture::called(Oneshot::new(self.inner.clone(), request), miss)
    }
}

impl<S: Clone, F: Clone, K, V, P: Clone> Clone for Cache<S, F, K, V, P> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            store: self.store.clone(),
            key: self.key.clone(),
            keep: self.keep.clone(),
            observer: self.observer.clone(),
        }
    }
}

impl<S: fmt::Debug, F, K, V, P> fmt::Debug for Cache<S, F, K, V, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("inner", &self.inner)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_readiness::{Observer, event, trace};
use tower_service::Service;
use tower_util::Oneshot;

use super::Event;
use super::flights::{Flights, Found};
use super::future::ResponseFuture;
use crate::BoxError;

/// Sends one of the concurrent requests with the same key; see the [module](super).
pub struct Coalesce<S, F, K, R> {
    inner: S,
    key: F,
    flights: Arc<Flights<K, R>>,
    observer: Observer<Event>,
}

impl<S, F, K, R> Coalesce<S, F, K, R> {
    pub(super) const fn build(
        inner: S,
        key: F,
        flights: Arc<Flights<K, R>>,
        observer: Observer<Event>,
    ) -> Self {
        Self {
            inner,
            key,
            flights,
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

impl<S, F, K, Req> Service<Req> for Coalesce<S, F, K, S::Response>
where
    S: Service<Req, Response: Clone + Send + Sync + 'static, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
    F: Fn(&Req) -> Option<K>,
    K: Hash + Eq + Send + Sync + 'static,
    Req: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S, Req, K>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let found = (self.key)(&request).map(|key| self.flights.join(key));
        let key = match found {
            Some(Found::Room(key)) => key,
            Some(Found::Call(ticket)) => {
                event!(DEBUG, "coalescing: a request joins a call");
                self.observer.notify(&Event::Joined);
                return ResponseFuture::shared(ticket);
            }
            Some(Found::Full) => {
                self.full();
                return ResponseFuture::alone(self.send(request));
            }
            None => return ResponseFuture::alone(self.send(request)),
        };
        let response = self.send(request);
        // Whoever polls it, in the span of this request.
        let call = trace::in_current_span(async { response.await.map_err(Into::into) });
        match self.flights.begin(key, Box::pin(call)) {
            Ok(ticket) => ResponseFuture::shared(ticket),
            Err(call) => {
                self.full();
                ResponseFuture::boxed(call)
            }
        }
    }
}

impl<S, F, K, R> Coalesce<S, F, K, R> {
    fn send<Req>(&self, request: Req) -> Oneshot<S, Req>
    where
        S: Service<Req> + Clone,
    {
        Oneshot::new(self.inner.clone(), request)
    }

    fn full(&self) {
        event!(DEBUG, "coalescing: too many keys, sending a request alone");
        self.observer.notify(&Event::Full);
    }
}

impl<S: Clone, F: Clone, K, R> Clone for Coalesce<S, F, K, R> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            key: self.key.clone(),
            flights: Arc::clone(&self.flights),
            observer: self.observer.clone(),
        }
    }
}

impl<S: fmt::Debug, F, K, R> fmt::Debug for Coalesce<S, F, K, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coalesce")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

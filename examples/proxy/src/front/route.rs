//! Sends each request to the stack of its route.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;
use tower::{BoxError, Service};

use super::failure::Failure;
use super::headers::authority;
use super::inbound::Inbound;
use super::refused::Refused;
use super::router::Router;

/// A service that calls a clone of the service of the request's route. Clones share the routes.
///
/// The services of the routes must always be ready, as [`Arrive`](super::arrive::Arrive) is: which of them must be
/// ready is known only once the request is there.
///
/// # Errors
///
/// [`Refused`] if no route matches the request.
#[derive(Debug)]
pub struct Route<S> {
    routes: Arc<Router<S>>,
}

impl<S> Route<S> {
    /// Creates a service that picks from `routes`.
    pub fn new(routes: Router<S>) -> Self {
        Self {
            routes: Arc::new(routes),
        }
    }
}

impl<S> Clone for Route<S> {
    fn clone(&self) -> Self {
        Self {
            routes: Arc::clone(&self.routes),
        }
    }
}

impl<S> Service<Box<Inbound>> for Route<S>
where
    S: Service<Box<Inbound>, Error = BoxError> + Clone,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = RouteFuture<S::Future>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Box<Inbound>) -> Self::Future {
        let host = match self.routes.has_hosts() {
            true => authority::of_valid(&request.head).map(authority::host),
            false => None,
        };
        let path = match request.head.uri.path() {
            // RFC 9112, 3.2.4: it refers to the server as a whole.
            "*" => "/",
            path => path,
        };
        let inner = self.routes.find(host, path).map(|route| {
            let mut route = route.clone();
            // A route's stack is always ready; a limit on its rate reserves what the request needs.
            let ready = route.poll_ready(&mut Context::from_waker(Waker::noop()));
            debug_assert!(matches!(ready, Poll::Ready(Ok(()))));
            route.call(request)
        });
        RouteFuture { inner }
    }
}

pin_project! {
    /// The response future of [`Route`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct RouteFuture<F> {
        // `None` if no route matches the request.
        #[pin]
        inner: Option<F>,
    }
}

impl<F, T> Future for RouteFuture<F>
where
    F: Future<Output = Result<T, BoxError>>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().inner.as_pin_mut() {
            Some(inner) => inner.poll(cx),
            None => Poll::Ready(Err(Refused::new(Failure::NoRoute).into())),
        }
    }
}

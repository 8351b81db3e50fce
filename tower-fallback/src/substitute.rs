use std::fmt;
use std::future::{Future, Ready, ready};
use std::sync::Arc;

use tower_service::Service;

use crate::BoxError;
use crate::future::ServiceFuture;

/// Where the response comes from when the inner service has failed.
///
/// It is cloned for each request.
pub trait Substitute<Req, Res, E> {
    /// The error of the whole: of the inner service, or of the substitute.
    type Error;

    /// What is kept of a request until its result; `()` if nothing is.
    type Kept;

    /// The future of the response.
    type Future: Future<Output = Result<Res, Self::Error>>;

    /// Returns what is needed of `request` if it fails. Called before the request is sent.
    fn keep(&self, request: &Req) -> Self::Kept;

    /// Responds to the request of which `kept` was kept, and whose result is a failure.
    fn respond(self, kept: Self::Kept, failed: Result<Res, E>) -> Self::Future;

    /// Converts an error of the inner service that is no failure, or that of its readiness.
    fn pass(error: E) -> Self::Error;
}

/// Responds with a clone of a value; see [`FallbackLayer::value`](crate::FallbackLayer::value).
#[derive(Debug)]
pub struct FromValue<V>(Arc<V>);

impl<V> FromValue<V> {
    /// Creates a substitute that responds with clones of `value`.
    pub fn new(value: V) -> Self {
        Self(Arc::new(value))
    }
}

impl<V> Clone for FromValue<V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<Req, Res: Clone, E> Substitute<Req, Res, E> for FromValue<Res> {
    type Error = E;
    type Kept = ();
    type Future = Ready<Result<Res, E>>;

    #[inline]
    fn keep(&self, _request: &Req) {}

    fn respond(self, (): (), _failed: Result<Res, E>) -> Self::Future {
        ready(Ok(Res::clone(&self.0)))
    }

    fn pass(error: E) -> E {
        error
    }
}

/// Responds with the result of a function; see [`FallbackLayer::function`](crate::FallbackLayer::function).
#[derive(Clone, Copy)]
pub struct FromFn<F>(F);

impl<F> FromFn<F> {
    /// Creates a substitute that responds with the result of `function`.
    pub const fn new(function: F) -> Self {
        Self(function)
    }
}

impl<F, Req, Res, E> Substitute<Req, Res, E> for FromFn<F>
where
    F: FnOnce(Result<Res, E>) -> Result<Res, E>,
{
    type Error = E;
    type Kept = ();
    type Future = Ready<Result<Res, E>>;

    #[inline]
    fn keep(&self, _request: &Req) {}

    fn respond(self, (): (), failed: Result<Res, E>) -> Self::Future {
        ready((self.0)(failed))
    }

    fn pass(error: E) -> E {
        error
    }
}

/// Responds with the result of a function of the request; see
/// [`FallbackLayer::request_function`](crate::FallbackLayer::request_function).
#[derive(Clone, Copy)]
pub struct FromRequest<F>(F);

impl<F> FromRequest<F> {
    /// Creates a substitute that responds with the result of `function`.
    pub const fn new(function: F) -> Self {
        Self(function)
    }
}

impl<F, Req, Res, E> Substitute<Req, Res, E> for FromRequest<F>
where
    F: FnOnce(Req, Result<Res, E>) -> Result<Res, E>,
    Req: Clone,
{
    type Error = E;
    type Kept = Req;
    type Future = Ready<Result<Res, E>>;

    fn keep(&self, request: &Req) -> Req {
        request.clone()
    }

    fn respond(self, request: Req, failed: Result<Res, E>) -> Self::Future {
        ready((self.0)(request, failed))
    }

    fn pass(error: E) -> E {
        error
    }
}

/// Sends the request to another service; see [`FallbackLayer::service`](crate::FallbackLayer::service).
#[derive(Clone, Copy, Debug)]
pub struct FromService<B>(B);

impl<B> FromService<B> {
    /// Creates a substitute that sends requests to clones of `service`.
    pub const fn new(service: B) -> Self {
        Self(service)
    }
}

impl<B, Req, E> Substitute<Req, B::Response, E> for FromService<B>
where
    B: Service<Req, Error: Into<BoxError>>,
    Req: Clone,
    E: Into<BoxError>,
{
    type Error = BoxError;
    type Kept = Req;
    type Future = ServiceFuture<B, Req>;

    fn keep(&self, request: &Req) -> Req {
        request.clone()
    }

    fn respond(self, request: Req, failed: Result<B::Response, E>) -> Self::Future {
        ServiceFuture::new(self.0, request, failed.err().map(Into::into))
    }

    fn pass(error: E) -> BoxError {
        error.into()
    }
}

macro_rules! opaque_debug {
    ($($name:ident),*) => {$(
        impl<F> fmt::Debug for $name<F> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )*};
}

opaque_debug!(FromFn, FromRequest);

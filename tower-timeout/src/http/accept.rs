use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderName, Request};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_classify::http::is_grpc_or_web;
use tower_layer::Layer;
use tower_readiness::{Refusal, event};
use tower_service::Service;

use super::header::{self, InvalidTimeout};
use crate::deadline::EnforceFuture;
use crate::{BoxError, Deadline};

/// Wraps services in [`AcceptDeadline`].
#[derive(Clone, Debug)]
pub struct AcceptDeadlineLayer {
    settings: Settings,
}

/// Reads the deadline of each request from its headers, and enforces it.
///
/// The time is read from `grpc-timeout` for gRPC, and otherwise from `x-request-timeout-ms` or another header, in whole
/// milliseconds. The [`Deadline`] is put into the request's extensions; if there already is one, the earlier one is
/// kept. It is enforced as by [`EnforceDeadline`](crate::EnforceDeadline).
///
/// # Errors
///
/// A [`BoxError`] with [`InvalidTimeout`] if the header is invalid (respond with 400), with
/// [`DeadlineExceeded`](crate::error::DeadlineExceeded), or with the inner service's error.
#[derive(Clone, Debug)]
pub struct AcceptDeadline<S> {
    inner: S,
    settings: Settings,
    refusal: Refusal,
}

#[derive(Clone, Debug)]
struct Settings {
    header: HeaderName,
    default: Option<Duration>,
    max: Option<Duration>,
    /// If set, applies to gRPC in place of `max`.
    grpc_max: Option<Option<Duration>>,
    ignore_invalid: bool,
}

impl AcceptDeadlineLayer {
    /// Applies the timeout of the headers; a request without one has no deadline.
    pub const fn new() -> Self {
        Self {
            settings: Settings {
                header: header::DEFAULT_NAME,
                default: None,
                max: None,
                grpc_max: None,
                ignore_invalid: false,
            },
        }
    }

    /// Sets the header for requests that are not gRPC. By default `x-request-timeout-ms`.
    #[must_use]
    pub fn header(mut self, name: HeaderName) -> Self {
        self.settings.header = name;
        self
    }

    /// Sets the timeout of requests without the header. By default they have none.
    #[must_use]
    pub fn default_timeout(mut self, timeout: Duration) -> Self {
        self.settings.default = Some(timeout);
        self
    }

    /// Limits the timeout of any request, whatever its header says. By default there is no limit.
    #[must_use]
    pub fn max(mut self, timeout: Duration) -> Self {
        self.settings.max = Some(timeout);
        self
    }

    /// Limits the timeout of gRPC and gRPC-Web calls, in place of [`max`](Self::max); `None` sets no limit.
    ///
    /// The deadline of a gRPC call covers the whole call including its streams; that of other requests covers the time
    /// until the response head. So a limit that is ample for other requests may be too short for gRPC streams.
    #[must_use]
    pub fn grpc_max(mut self, timeout: Option<Duration>) -> Self {
        self.settings.grpc_max = Some(timeout);
        self
    }

    /// Ignores and removes an invalid header. By default, the request is rejected.
    #[must_use]
    pub fn ignore_invalid(mut self) -> Self {
        self.settings.ignore_invalid = true;
        self
    }
}

impl Default for AcceptDeadlineLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for AcceptDeadlineLayer {
    type Service = AcceptDeadline<S>;

    fn layer(&self, inner: S) -> AcceptDeadline<S> {
        AcceptDeadline {
            inner,
            settings: self.settings.clone(),
            refusal: Refusal::new(),
        }
    }
}

impl<S> AcceptDeadline<S> {
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

impl Settings {
    fn timeout<B>(&self, request: &mut Request<B>) -> Result<Option<Duration>, InvalidTimeout> {
        let asked = match header::read(request.headers(), &self.header) {
            Err(error) if self.ignore_invalid => {
                event!(DEBUG, %error, "ignoring an invalid timeout header");
                // The next hop might reject the header.
                request.headers_mut().remove(error.header());
                None
            }
            asked => asked?,
        };
        let max = match self.grpc_max {
            Some(grpc_max) if is_grpc_or_web(request.headers()) => grpc_max,
            _ => self.max,
        };
        Ok(asked.or(self.default).into_iter().chain(max).min())
    }
}

impl<S, B> Service<Request<B>> for AcceptDeadline<S>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = DeadlineFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.refusal.check()?;
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let timeout = match self.settings.timeout(&mut request) {
            Ok(timeout) => timeout,
            Err(error) => {
                self.refusal.release(&mut self.inner);
                return DeadlineFuture::refused(error);
            }
        };
        let before = request.extensions().get::<Deadline>().copied();
        if timeout.is_none() && before.is_none() {
            return DeadlineFuture::new(EnforceFuture::unbounded(self.inner.call(request)));
        }
        let now = Instant::now();
        let asked = timeout.map(|timeout| Deadline::after(now, timeout));
        let deadline = match (asked, before) {
            (Some(asked), Some(before)) => asked.min(before),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => unreachable!("returned above if both are `None`"),
        };
        if deadline.has_passed(now) {
            self.refusal.release(&mut self.inner);
            return DeadlineFuture::new(EnforceFuture::passed(deadline));
        }
        if before != Some(deadline) {
            request.extensions_mut().insert(deadline);
        }
        let response = self.inner.call(request);
        DeadlineFuture::new(EnforceFuture::until(deadline, response))
    }
}

pin_project! {
    /// The response future of a request with a deadline.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct DeadlineFuture<T> {
        #[pin]
        state: State<T>,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<T> {
        Sent { #[pin] response: EnforceFuture<T> },
        Refused { error: Option<InvalidTimeout> },
    }
}

impl<T> DeadlineFuture<T> {
    const fn new(response: EnforceFuture<T>) -> Self {
        Self {
            state: State::Sent { response },
        }
    }

    const fn refused(error: InvalidTimeout) -> Self {
        Self {
            state: State::Refused { error: Some(error) },
        }
    }
}

impl<F, T, E> Future for DeadlineFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Sent { response } => response.poll(cx),
            StateProj::Refused { error } => {
                let error = error.take().expect("polled after completion");
                Poll::Ready(Err(error.into()))
            }
        }
    }
}

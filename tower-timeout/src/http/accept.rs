use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderName, Request};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_readiness::Refusal;
use tower_service::Service;

use super::header::{self, InvalidTimeout};
use crate::deadline::EnforceFuture;
use crate::{BoxError, Deadline};

/// Wraps services in [`AcceptDeadline`].
#[derive(Clone, Debug)]
pub struct AcceptDeadlineLayer {
    settings: Settings,
}

/// Gives each request the deadline that its headers ask for, and enforces it.
///
/// `grpc-timeout` for requests of gRPC, for others `x-request-timeout-ms` or another header, in whole milliseconds. The
/// [`Deadline`] is put among the extensions of the request; of one that is there already, the sooner one counts. It is
/// enforced as [`EnforceDeadline`](crate::EnforceDeadline) does.
///
/// # Errors
///
/// A [`BoxError`] with [`InvalidTimeout`] if the header makes no sense (answer it with a 400), with
/// [`DeadlineExceeded`](crate::error::DeadlineExceeded), or with the error of the service inside.
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
    /// In place of `max` for gRPC, if it is set.
    grpc_max: Option<Option<Duration>>,
    ignore_invalid: bool,
}

impl AcceptDeadlineLayer {
    /// Requests have the time that their headers say, and as long as they like without one.
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

    /// The header of requests that are not of gRPC. By default `x-request-timeout-ms`.
    #[must_use]
    pub fn header(mut self, name: HeaderName) -> Self {
        self.settings.header = name;
        self
    }

    /// How long a request has that does not say it. By default as long as it likes.
    #[must_use]
    pub fn default_timeout(mut self, timeout: Duration) -> Self {
        self.settings.default = Some(timeout);
        self
    }

    /// How long any request has at most, whatever it says. By default as long as it says.
    #[must_use]
    pub fn max(mut self, timeout: Duration) -> Self {
        self.settings.max = Some(timeout);
        self
    }

    /// How long a call of gRPC or gRPC-Web has at most, in place of [`max`](Self::max); `None` for as long as it says.
    ///
    /// The deadline of a call is one for the whole of it, streams included, while that of another request ends with the
    /// beginning of its response: what is ample for the one cuts the other.
    #[must_use]
    pub fn grpc_max(mut self, timeout: Option<Duration>) -> Self {
        self.settings.grpc_max = Some(timeout);
        self
    }

    /// Takes a header that makes no sense for none, and removes it. By default the request is refused.
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
    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl Settings {
    fn timeout<B>(&self, request: &mut Request<B>) -> Result<Option<Duration>, InvalidTimeout> {
        let asked = match header::read(request.headers(), &self.header) {
            Err(error) if self.ignore_invalid => {
                tracing::debug!(%error, "ignoring a timeout");
                // The next hop might refuse it.
                request.headers_mut().remove(error.header());
                None
            }
            asked => asked?,
        };
        let max = match self.grpc_max {
            Some(grpc_max) if header::is_grpc(request.headers()) => grpc_max,
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
            (None, None) => unreachable!("one of them is there, as was seen above"),
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
    /// The response to a request with a deadline.
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
                let error = error.take().expect("polled after it was ready");
                Poll::Ready(Err(error.into()))
            }
        }
    }
}

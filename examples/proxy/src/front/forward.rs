//! Rewrites a client's request for the upstream, and the upstream's response for the client.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Method, Response, Version};
use pin_project_lite::pin_project;
use tower::{BoxError, Layer, Service};

use super::body::{BoundedBody, ResponseBody};
use super::failure::Failure;
use super::headers::hop::Hop;
use super::inbound::Inbound;
use crate::config::Protocol;
use crate::transport::headers;

/// Wraps services in [`Forward`].
#[derive(Debug, Clone)]
pub struct ForwardLayer {
    hop: Arc<Hop>,
    protocol: Protocol,
}

/// Middleware that removes the hop-by-hop fields of a message and adds those for the next hop.
///
/// A request with `Max-Forwards: 0` is not forwarded; the response is made here.
///
/// # Readiness
///
/// That of the inner service; nothing is reserved.
#[derive(Debug, Clone)]
pub struct Forward<S> {
    inner: S,
    hop: Arc<Hop>,
    protocol: Protocol,
}

impl ForwardLayer {
    /// Creates a layer that rewrites as `hop` says, for endpoints that speak `protocol`.
    pub const fn new(hop: Arc<Hop>, protocol: Protocol) -> Self {
        Self { hop, protocol }
    }
}

impl<S> Layer<S> for ForwardLayer {
    type Service = Forward<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Forward {
            inner,
            hop: Arc::clone(&self.hop),
            protocol: self.protocol,
        }
    }
}

impl<S> Service<Box<Inbound>> for Forward<S>
where
    S: Service<Box<Inbound>, Response = Response<BoundedBody>, Error = BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = BoxError;
    type Future = ForwardFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Box<Inbound>) -> Self::Future {
        if !headers::count_down(&mut request.head) {
            let is_options = request.head.method == Method::OPTIONS;
            return ForwardFuture {
                state: State::Ended { is_options },
            };
        }
        let is_http2 = request.head.version == Version::HTTP_2;
        let accepted = self.hop.forward(&mut request, self.protocol);
        ForwardFuture {
            state: State::Sent {
                // Over HTTP/1.1 a client gets trailers only if it announced that it accepts them.
                takes_trailers: is_http2 || accepted,
                inner: self.inner.call(request),
            },
        }
    }
}

pin_project! {
    /// The response future of [`Forward`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ForwardFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProj]
    enum State<F> {
        // `takes_trailers`: the client accepts trailers, so the response announces them.
        Sent { #[pin] inner: F, takes_trailers: bool },
        // The request is not forwarded; of these, the proxy itself supports OPTIONS only.
        Ended { is_options: bool },
    }
}

impl<F> Future for ForwardFuture<F>
where
    F: Future<Output = Result<Response<BoundedBody>, BoxError>>,
{
    type Output = Result<Response<ResponseBody>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (inner, takes_trailers) = match self.project().state.project() {
            StateProj::Sent {
                inner,
                takes_trailers,
            } => (inner, *takes_trailers),
            StateProj::Ended { is_options } => {
                return Poll::Ready(match is_options {
                    true => Ok(Response::new(ResponseBody::empty())),
                    false => Err(Failure::Unsupported.into()),
                });
            }
        };
        let mut response = ready!(inner.poll(cx))?.map(ResponseBody::upstream);
        // The proxy's own version: hyper lowers it for an HTTP/1.0 client.
        *response.version_mut() = Version::HTTP_11;
        headers::strip(response.headers_mut(), |name| {
            headers::is_hop_by_hop(name) || (!takes_trailers && name == "trailer")
        });
        Poll::Ready(Ok(response))
    }
}

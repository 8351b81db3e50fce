//! Turns errors into responses, in the protocol that the client speaks.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, Version};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::classify::cause_ref;
use tower::{BoxError, Layer, Service};

use super::failure::Failure;
use super::inbound::Inbound;
use super::protocol::Dialect;

/// Wraps services in [`Rescue`].
#[derive(Debug, Clone, Copy, Default)]
pub struct RescueLayer;

/// Middleware that turns each error into the response of its [`Failure`], and so never fails.
///
/// # Readiness
///
/// That of the inner service, which is always ready in this proxy; an error of its readiness is ignored.
#[derive(Debug, Clone, Copy)]
pub struct Rescue<S> {
    inner: S,
}

impl<S> Layer<S> for RescueLayer {
    type Service = Rescue<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Rescue { inner }
    }
}

impl<S, R> Service<Box<Inbound>> for Rescue<S>
where
    S: Service<Box<Inbound>, Response = Response<R>, Error = BoxError>,
{
    type Response = Response<RescueBody<R>>;
    type Error = Infallible;
    type Future = RescueFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The services of the front are always ready, see `stack`.
        let ready = self.inner.poll_ready(cx);
        ready.map(|ready| ready.or(Ok(())))
    }

    fn call(&mut self, request: Box<Inbound>) -> Self::Future {
        let dialect = request.fields.dialect;
        RescueFuture {
            dialect,
            is_head: request.head.method == Method::HEAD,
            // gRPC is not spoken over HTTP/1.1.
            has_status: dialect == Dialect::Grpc && request.head.version == Version::HTTP_2,
            inner: self.inner.call(request),
        }
    }
}

pin_project! {
    /// The response future of [`Rescue`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct RescueFuture<F> {
        #[pin]
        inner: F,
        dialect: Dialect,
        is_head: bool,
        has_status: bool,
    }
}

impl<F, R> Future for RescueFuture<F>
where
    F: Future<Output = Result<Response<R>, BoxError>>,
{
    type Output = Result<Response<RescueBody<R>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let has_status = *this.has_status;
        Poll::Ready(Ok(match ready!(this.inner.poll(cx)) {
            Ok(response) => response.map(|inner| RescueBody {
                content: Content::Passed { inner, has_status },
            }),
            Err(error) => {
                let answer = Failure::of(&error).response(*this.dialect);
                // hyper would send the body of a response to HEAD over HTTP/2.
                let is_head = *this.is_head;
                answer.map(|text| RescueBody {
                    content: Content::Own {
                        text: if is_head { Bytes::new() } else { text },
                    },
                })
            }
        }))
    }
}

pin_project! {
    /// The body of a response.
    ///
    /// If it fails, an HTTP client gets a truncated response. A gRPC client gets trailers with the status of the
    /// failure; but a stream that the upstream has reset is reset towards the client, with the same error code.
    #[derive(Debug)]
    pub struct RescueBody<B> {
        #[pin]
        content: Content<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = ContentProj]
    enum Content<B> {
        // `has_status`: a gRPC status may follow; `false` also once one was sent.
        Passed { #[pin] inner: B, has_status: bool },
        // The rest of a failure's text.
        Own { text: Bytes },
    }
}

impl<B> Body for RescueBody<B>
where
    B: Body<Data = Bytes, Error = BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().content.project() {
            ContentProj::Passed { inner, has_status } => {
                let polled = inner.poll_frame(cx);
                if let Poll::Ready(Some(Err(error))) = &polled
                    && *has_status
                    && !is_reset_by_peer(&**error)
                {
                    *has_status = false;
                    let trailers = status(Failure::of_body(error));
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                polled
            }
            ContentProj::Own { text } if text.is_empty() => Poll::Ready(None),
            ContentProj::Own { text } => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Passed { inner, .. } => inner.is_end_stream(),
            Content::Own { text } => text.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Passed { inner, .. } => inner.size_hint(),
            Content::Own { text } => SizeHint::with_exact(text.len() as u64),
        }
    }
}

fn status(failure: Failure) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    failure.write_grpc_status(&mut trailers);
    trailers
}

fn is_reset_by_peer(error: &(dyn Error + 'static)) -> bool {
    cause_ref::<h2::Error>(error).is_some_and(|h2| h2.is_reset() && h2.is_remote())
}

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Response, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tower::BoxError;
use tower::load::{TrackCompletion, pending_requests};

use super::{Payload, UpstreamError, http1, http2};
use crate::transport::headers::{self, GRPC_STATUS};
use crate::transport::trailers::{TrailersTooLarge, check_trailers};
use crate::transport::upload::Upload;

/// The body of an endpoint's response.
///
/// Until it ends or is dropped, it occupies its connection or its stream, and counts as load of its endpoint. If it
/// ends before the request has, the rest of the upload is aborted.
///
/// All layers move it with its response, so it is a single pointer.
#[derive(Debug)]
pub struct UpstreamBody<B>(Box<Reading<B>>);

#[derive(Debug)]
struct Reading<B> {
    incoming: Incoming,
    /// A frame that was read ahead.
    first: Option<First>,
    max_trailers: usize,
    /// Whether its trailers must have a gRPC status. If they have none, h2 has dropped it.
    needs_status: bool,
    /// Whether h2 may have dropped some of its trailers.
    is_shortened: bool,
    hold: Option<Hold<B>>,
    load: Option<pending_requests::Handle>,
    /// Told about the end, once.
    on_end: Option<Arc<dyn OnEnd>>,
}

/// Observes how a response ends.
pub trait OnEnd: fmt::Debug + Send + Sync {
    /// Called when the endpoint has sent the whole response, with its trailers if it has any. Not called for a response
    /// that breaks or that is dropped before its end.
    fn ended(&self, trailers: Option<&HeaderMap>);
}

/// A frame in a compact form.
#[derive(Debug)]
enum First {
    Data(Bytes),
    Trailers(Box<HeaderMap>),
}

impl First {
    /// Returns `None` for a frame that is neither data nor trailers.
    fn of(frame: Frame<Bytes>) -> Option<Self> {
        match frame.into_data() {
            Ok(data) => Some(Self::Data(data)),
            Err(frame) => Some(Self::Trailers(Box::new(frame.into_trailers().ok()?))),
        }
    }
}

impl From<First> for Frame<Bytes> {
    fn from(first: First) -> Self {
        match first {
            First::Data(data) => Self::data(data),
            First::Trailers(trailers) => Self::trailers(*trailers),
        }
    }
}

/// What a response holds of its endpoint until it ends.
#[derive(Debug)]
pub(super) enum Hold<B> {
    Http1(http1::Lease<B>),
    Http2(http2::Lease<B>),
}

impl<B: Payload> Hold<B> {
    fn upload(&self) -> Option<&Upload> {
        match self {
            Self::Http1(lease) => lease.upload(),
            Self::Http2(lease) => lease.upload(),
        }
    }

    fn is_shortened(&self) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::Http2(lease) => lease.is_shortened(),
        }
    }

    fn finish(self) {
        match self {
            Self::Http1(lease) => lease.finish(),
            Self::Http2(lease) => drop(lease),
        }
    }
}

impl<B: Payload> UpstreamBody<B> {
    /// Replaces the body of a response by a tracked one. Trailers over `max_trailers` bytes are an error.
    pub(super) fn of(
        response: Response<Incoming>,
        hold: Hold<B>,
        max_trailers: usize,
    ) -> Response<Self> {
        let (head, incoming) = response.into_parts();
        let mut body = Box::new(Reading {
            incoming,
            first: None,
            max_trailers,
            needs_status: head.version == Version::HTTP_2
                && headers::is_grpc(&head.headers)
                && !head.headers.contains_key(GRPC_STATUS),
            is_shortened: false,
            hold: Some(hold),
            load: None,
            on_end: None,
        });
        if body.incoming.is_end_stream() {
            body.finish();
        }
        Response::from_parts(head, Self(body))
    }

    /// Calls `on_end` when the response has ended, or now if it has already.
    pub fn on_end(&mut self, on_end: Arc<dyn OnEnd>) {
        let body = &mut *self.0;
        body.on_end = Some(on_end);
        match body.first.take() {
            Some(First::Trailers(trailers)) => {
                body.ended(Some(&trailers));
                body.first = Some(First::Trailers(trailers));
            }
            first => {
                body.first = first;
                if body.is_over() {
                    body.ended(None);
                }
            }
        }
    }

    /// Reads the first frame, which [`poll_frame`](Body::poll_frame) then returns.
    pub(super) fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        if self.0.is_over() {
            return Poll::Ready(Ok(()));
        }
        let polled = self.0.poll_incoming(cx);
        polled.map(|frame| {
            self.0.first = frame.transpose()?.and_then(First::of);
            Ok(())
        })
    }
}

impl<B> Reading<B> {
    /// Whether it had ended when it was last polled. This is known without the lock of an HTTP/2 connection.
    fn is_over(&self) -> bool {
        self.hold.is_none()
    }
}

impl<B: Payload> Reading<B> {
    fn poll_incoming(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let incoming = &mut self.incoming;
        let mut take = || {
            let polled = Pin::new(&mut *incoming).poll_frame(cx);
            let at_end = polled.is_ready() && incoming.is_end_stream();
            (polled, at_end)
        };
        let (polled, at_end) = match &self.hold {
            // After the last frame the connection has nothing left to do.
            Some(Hold::Http1(lease)) => lease.connection.waker.wake_unless(take),
            _ => take(),
        };
        match &polled {
            Poll::Ready(None) => {
                self.ended(None);
                self.finish();
            }
            // A body of known length ends with its last byte: its reader need not poll again.
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    self.is_shortened = self.hold.as_ref().is_some_and(Hold::is_shortened);
                    self.ended(Some(trailers));
                }
                if at_end {
                    self.ended(None);
                    self.finish();
                }
            }
            // A broken connection is not reused.
            Poll::Ready(Some(Err(_))) => {
                self.hold = None;
                self.on_end = None;
            }
            Poll::Pending => {}
        }
        polled
    }

    fn ended(&mut self, trailers: Option<&HeaderMap>) {
        if let Some(on_end) = self.on_end.take() {
            on_end.ended(trailers);
        }
    }

    fn finish(&mut self) {
        if let Some(hold) = self.hold.take() {
            hold.finish();
        }
        self.load = None;
    }

    /// Ready once the endpoint was given up because it does not read the request of this response.
    fn poll_stalled(&mut self, cx: &Context<'_>) -> Poll<()> {
        let upload = self.hold.as_ref().and_then(Hold::upload);
        match upload.map(|upload| upload.poll_stalled(cx)) {
            Some(Poll::Ready(())) => {
                self.hold = None;
                Poll::Ready(())
            }
            _ => Poll::Pending,
        }
    }

    fn check(&self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BoxError> {
        let has_status = |trailers: &HeaderMap| trailers.contains_key(GRPC_STATUS);
        if self.is_shortened && frame.is_trailers() {
            return Err(TrailersTooLarge::new().into());
        }
        if self.needs_status && frame.trailers_ref().is_some_and(|it| !has_status(it)) {
            return Err(TrailersTooLarge::new().into());
        }
        check_trailers(frame, self.max_trailers)
    }
}

impl<B: Payload> Body for UpstreamBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let body = &mut *self.0;
        let frame = match body.first.take() {
            Some(first) => Some(Ok(first.into())),
            None => match body.poll_incoming(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    ready!(body.poll_stalled(cx));
                    return Poll::Ready(Some(Err(UpstreamError::Stalled.into())));
                }
            },
        };
        Poll::Ready(frame.map(|frame| body.check(frame?)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.first.is_none() && self.0.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.0.incoming.size_hint();
        if let Some(First::Data(first)) = &self.0.first {
            let first = first.len() as u64;
            let (lower, upper) = (hint.lower() + first, hint.upper());
            hint = SizeHint::new();
            hint.set_lower(lower);
            if let Some(upper) = upper {
                hint.set_upper(upper + first);
            }
        }
        hint
    }
}

/// Counts a request as pending until its response's body has ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct TrackBody;

impl<B> TrackCompletion<pending_requests::Handle, Response<UpstreamBody<B>>> for TrackBody {
    type Output = Response<UpstreamBody<B>>;

    fn track_completion(
        &self,
        handle: pending_requests::Handle,
        mut response: Response<UpstreamBody<B>>,
    ) -> Self::Output {
        let body = &mut response.body_mut().0;
        if !body.is_over() {
            body.load = Some(handle);
        }
        response
    }
}

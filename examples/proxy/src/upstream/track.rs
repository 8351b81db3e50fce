use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tower::BoxError;
use tower::load::{TrackCompletion, pending_requests};

use super::http1::Lease;
use crate::body::{TrailersTooLarge, check_trailers};
use crate::headers;

/// The body of an endpoint's response.
///
/// Until it ends, or is dropped, it keeps the connection from other requests and counts as load of its endpoint.
#[derive(Debug)]
pub struct UpstreamBody {
    incoming: Incoming,
    /// Read before anybody asked for it.
    first: Option<Frame<Bytes>>,
    max_trailers: usize,
    /// Its trailers must have a status. If they have none, h2 has dropped it.
    needs_status: bool,
    lease: Option<Lease>,
    load: Option<pending_requests::Handle>,
}

impl UpstreamBody {
    /// Makes it the body of a response. Trailers over `max_trailers` bytes are an error.
    pub(super) fn of(
        response: Response<Incoming>,
        lease: Option<Lease>,
        max_trailers: usize,
    ) -> Response<Self> {
        let (head, incoming) = response.into_parts();
        let mut body = Self {
            incoming,
            first: None,
            max_trailers,
            needs_status: head.version == Version::HTTP_2
                && headers::is_grpc(&head.headers)
                && !head.headers.contains_key(GRPC_STATUS),
            lease,
            load: None,
        };
        body.release_at_end();
        Response::from_parts(head, body)
    }

    /// Reads the first frame, for [`poll_frame`](Body::poll_frame) to return.
    pub(super) fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        if self.is_end_stream() {
            return Poll::Ready(Ok(()));
        }
        let polled = self.poll_incoming(cx);
        polled.map(|frame| {
            self.first = frame.transpose()?;
            Ok(())
        })
    }

    fn poll_incoming(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        match &polled {
            Poll::Ready(None) => {
                self.lease = None;
                self.load = None;
            }
            // A body of known length is at its end with its last byte: who reads it need not ask again.
            Poll::Ready(Some(_)) => self.release_at_end(),
            Poll::Pending => {}
        }
        polled
    }

    fn release_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.lease = None;
            self.load = None;
        }
    }

    fn check(&self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BoxError> {
        let has_status = |trailers: &HeaderMap| trailers.contains_key(GRPC_STATUS);
        if self.needs_status && frame.trailers_ref().is_some_and(|it| !has_status(it)) {
            return Err(TrailersTooLarge::new().into());
        }
        check_trailers(frame, self.max_trailers)
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match self.first.take() {
            Some(first) => Some(Ok(first)),
            None => ready!(self.poll_incoming(cx)),
        };
        Poll::Ready(frame.map(|frame| self.check(frame?)))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.incoming.size_hint();
        if let Some(first) = self.first.as_ref().and_then(Frame::data_ref) {
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

impl TrackCompletion<pending_requests::Handle, Response<UpstreamBody>> for TrackBody {
    type Output = Response<UpstreamBody>;

    fn track_completion(
        &self,
        handle: pending_requests::Handle,
        mut response: Response<UpstreamBody>,
    ) -> Self::Output {
        let body = response.body_mut();
        body.load = Some(handle);
        body.release_at_end();
        response
    }
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

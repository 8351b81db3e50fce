use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tower::load::{TrackCompletion, pending_requests};

use super::http1::Lease;

/// The body of an endpoint's response.
///
/// Until it ends, or is dropped, it keeps the connection from other requests and counts as load of its endpoint.
#[derive(Debug)]
pub struct UpstreamBody {
    incoming: Incoming,
    lease: Option<Lease>,
    load: Option<pending_requests::Handle>,
}

impl UpstreamBody {
    pub(super) fn new(incoming: Incoming, lease: Option<Lease>) -> Self {
        let mut body = Self {
            incoming,
            lease,
            load: None,
        };
        body.release_at_end();
        body
    }

    fn release_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.lease = None;
            self.load = None;
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
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

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
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

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tower::BoxError;
use tower::load::{TrackCompletion, pending_requests};

use super::{UpstreamError, http1, http2};
use crate::upload::Upload;

/// The body of an endpoint's response.
///
/// Until it ends, or is dropped, it keeps its connection, or its place on one, from other requests and counts as load of its
/// endpoint. If it ends before the request has, the rest of the request is given up.
#[derive(Debug)]
pub struct UpstreamBody {
    incoming: Incoming,
    hold: Option<Hold>,
    load: Option<pending_requests::Handle>,
}

/// What a response holds.
#[derive(Debug)]
pub(super) enum Hold {
    Http1(http1::Lease),
    Http2(http2::Lease),
}

impl Hold {
    fn upload(&self) -> Option<&Upload> {
        match self {
            Self::Http1(lease) => lease.upload(),
            Self::Http2(lease) => lease.upload(),
        }
    }

    fn finish(self) {
        match self {
            Self::Http1(lease) => lease.finish(),
            Self::Http2(lease) => drop(lease),
        }
    }
}

impl UpstreamBody {
    pub(super) fn new(incoming: Incoming, hold: Hold) -> Self {
        let mut body = Self {
            incoming,
            hold: Some(hold),
            load: None,
        };
        if body.incoming.is_end_stream() {
            body.finish();
        }
        body
    }

    fn finish(&mut self) {
        if let Some(hold) = self.hold.take() {
            hold.finish();
        }
        self.load = None;
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        match polled {
            Poll::Ready(None) => {
                self.finish();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Ok(frame))) => {
                // A body of known length is at its end with its last byte: who reads it need not ask again.
                if self.incoming.is_end_stream() {
                    self.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            // What it holds is dropped with it, and not used again.
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Pending => {
                let upload = self.hold.as_ref().and_then(Hold::upload);
                match upload.map(|upload| upload.poll_stalled(cx)) {
                    Some(Poll::Ready(())) => {
                        self.hold = None;
                        Poll::Ready(Some(Err(UpstreamError::Stalled.into())))
                    }
                    _ => Poll::Pending,
                }
            }
        }
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
        if !body.incoming.is_end_stream() {
            body.load = Some(handle);
        }
        response
    }
}

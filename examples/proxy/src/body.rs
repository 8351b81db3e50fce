//! The two bodies that pass through the proxy, frame by frame and never collected.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tower::BoxError;
use tower::retry::http::{PeekBody, ReplayBody};
use tower::timeout::http::TimeoutBody;

use crate::upstream::UpstreamBody;

/// The body of a request on its way up: what the client sends, within its time, and kept as far as it may be sent again.
pub type RequestBody = ReplayBody<TimeoutBody<Incoming>>;

/// The body of a response within its time. Of a gRPC call, its first frame may have been looked at.
pub type BoundedBody = TimeoutBody<PeekBody<UpstreamBody>>;

/// The body of a response on its way down: the upstream's stream, or a few bytes of our own.
#[derive(Debug)]
pub struct ResponseBody {
    content: Content,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are the upstream's")]
enum Content {
    Upstream(BoundedBody),
    Own(Bytes),
}

impl ResponseBody {
    /// A body that streams what the upstream sends.
    pub fn upstream(body: BoundedBody) -> Self {
        Self {
            content: Content::Upstream(body),
        }
    }

    /// A body of the proxy's own words.
    pub fn own(text: impl Into<Bytes>) -> Self {
        Self {
            content: Content::Own(text.into()),
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.content {
            Content::Upstream(body) => Pin::new(body).poll_frame(cx),
            Content::Own(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Own(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Upstream(body) => body.is_end_stream(),
            Content::Own(bytes) => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Upstream(body) => body.size_hint(),
            Content::Own(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

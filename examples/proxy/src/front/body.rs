//! The request and response bodies that the proxy streams, frame by frame and never collected.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;
use tower::BoxError;
use tower::retry::http::{PeekBody, ReplayBody};
use tower::timeout::http::TimeoutBody;

use crate::front::upload::UploadBody;
use crate::transport::limits::Limits;
use crate::transport::stall;
use crate::upstream;

/// The body of a request to the upstream: the client's upload under its time limits, kept for replays up to the
/// configured size.
pub type RequestBody = ReplayBody<TimeoutBody<UploadBody>>;

/// The body of an endpoint's response to a request with a [`RequestBody`].
pub type UpstreamBody = upstream::UpstreamBody<RequestBody>;

/// The body of a response under its time limits. For a gRPC call its first frame may have been read ahead.
pub type BoundedBody = TimeoutBody<PeekBody<UpstreamBody>>;

/// The body of a response to the client: the upstream's stream, or empty.
///
/// It [tells](stall::handed) the task that sends it how long a client that does not read may delay it.
#[derive(Debug)]
pub struct ResponseBody {
    upstream: Option<BoundedBody>,
    /// An error whose report is delayed.
    failed: Option<Failed>,
    /// Whether the sending task was told to come back for the next frame.
    awaited: bool,
}

/// A delayed error. On an error hyper and h2 drop what they have not written yet, including the head, and do not report
/// when everything is written; so the error is returned a little later.
#[derive(Debug)]
struct Failed {
    error: BoxError,
    until: Pin<Box<Sleep>>,
}

impl ResponseBody {
    /// Creates a body that streams what the upstream sends.
    pub fn upstream(body: BoundedBody) -> Self {
        Self {
            upstream: Some(body),
            failed: None,
            awaited: false,
        }
    }

    /// Creates an empty body.
    pub const fn empty() -> Self {
        Self {
            upstream: None,
            failed: None,
            awaited: false,
        }
    }

    /// Tells the sending task, after a frame that is not the last, that it must come back for the next.
    fn tell_task(&mut self, handed: bool) {
        if let Some(body) = &self.upstream
            && handed
            && !body.is_end_stream()
        {
            let limits = Limits {
                idle: body.idle_timeout(),
                end: body.end(),
            };
            stall::handed(limits, None);
            self.awaited = true;
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
        if std::mem::take(&mut self.awaited) {
            stall::waits();
        }
        if let Some(failed) = &mut self.failed {
            ready!(failed.until.as_mut().poll(cx));
            return Poll::Ready(self.failed.take().map(|failed| Err(failed.error)));
        }
        let frame = match &mut self.upstream {
            Some(body) => ready!(Pin::new(body).poll_frame(cx)),
            None => None,
        };
        if let Some(Err(error)) = frame {
            self.failed = Some(Failed {
                error,
                until: Box::pin(tokio::time::sleep(FLUSH_TIME)),
            });
            return self.poll_frame(cx);
        }
        self.tell_task(frame.is_some());
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.upstream.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.upstream {
            Some(body) => body.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if self.awaited {
            stall::waits();
        }
    }
}

/// The time given to writing what was sent before an error, if the client reads.
const FLUSH_TIME: Duration = Duration::from_millis(20);

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tower::BoxError;

use crate::transport::blocks::OversizedTrailers;
use crate::transport::trailers::{TrailersTooLarge, check_trailers};

/// The body that a client sends, without trailers that must not be forwarded.
#[derive(Debug)]
pub struct ClientBody {
    incoming: Incoming,
    max_trailers: usize,
    /// Set if h2 may drop some of the trailers.
    long: Option<OversizedTrailers>,
}

impl ClientBody {
    /// Wraps `incoming`. Trailers over `max_trailers` bytes are an error, and so are trailers that `long` reports as
    /// shortened.
    pub const fn new(
        incoming: Incoming,
        max_trailers: usize,
        long: Option<OversizedTrailers>,
    ) -> Self {
        Self {
            incoming,
            max_trailers,
            long,
        }
    }

    fn check(&self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BoxError> {
        if frame.is_trailers() && self.long.as_ref().is_some_and(|long| long.count() > 0) {
            return Err(TrailersTooLarge::new().into());
        }
        check_trailers(frame, self.max_trailers)
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        polled.map(|frame| frame.map(|frame| self.check(frame?)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

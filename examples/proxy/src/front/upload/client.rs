use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tower::BoxError;

use crate::transport::blocks::OversizedTrailers;
use crate::transport::trailers::{TrailersTooLarge, check_trailers};

/// The body that a client sends, without trailers that must not be forwarded.
///
/// It is a single pointer, and `None` if the body is empty.
#[derive(Debug, Default)]
pub struct ClientBody(Option<Box<Sent>>);

#[derive(Debug)]
struct Sent {
    incoming: Incoming,
    max_trailers: usize,
    /// Set if h2 may drop some of the trailers.
    long: Option<OversizedTrailers>,
}

impl ClientBody {
    /// Creates the body that `incoming` receives. Trailers over `max_trailers` bytes are an error, and so are trailers
    /// that `long` reports as shortened.
    pub fn new(incoming: Incoming, max_trailers: usize, long: Option<OversizedTrailers>) -> Self {
        let sent = (!incoming.is_end_stream()).then(|| {
            Box::new(Sent {
                incoming,
                max_trailers,
                long,
            })
        });
        Self(sent)
    }
}

impl Sent {
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
        let Some(sent) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(&mut sent.incoming).poll_frame(cx);
        polled.map(|frame| frame.map(|frame| sent.check(frame?)))
    }

    fn is_end_stream(&self) -> bool {
        let sent = self.0.as_ref();
        sent.is_none_or(|sent| sent.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Some(sent) => sent.incoming.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

//! How a response ends that fails after its head: counted, and told where the protocol has a place for it.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::BoxError;

use crate::front::rescue::{Failure, cause_of};
use crate::metrics::{CLIENT_GONE, InFlight};

pin_project! {
    /// The body of a response on its way to the client.
    ///
    /// It ends the request's account in the metrics when it is dropped. If it fails, an HTTP client gets a response that is cut
    /// off. A gRPC client gets trailers with the status that tells why; but a stream that the upstream has reset is reset
    /// towards the client, with the same code.
    #[derive(Debug)]
    pub struct OutcomeBody<B>
    where
        B: Body,
    {
        #[pin]
        inner: B,
        in_flight: InFlight,
        has_trailers: bool,
        is_over: bool,
    }

    impl<B> PinnedDrop for OutcomeBody<B>
    where
        B: Body,
    {
        fn drop(this: Pin<&mut Self>) {
            if !this.is_over && !this.inner.is_end_stream() {
                this.in_flight.failed(CLIENT_GONE);
            }
        }
    }
}

impl<B: Body> OutcomeBody<B> {
    /// Keeps `in_flight` until the body is dropped.
    ///
    /// `has_trailers` tells whether a gRPC status can follow `inner`.
    pub fn new(inner: B, in_flight: InFlight, has_trailers: bool) -> Self {
        Self {
            inner,
            in_flight,
            has_trailers,
            is_over: false,
        }
    }
}

impl<B> Body for OutcomeBody<B>
where
    B: Body<Data = Bytes, Error = BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        if *this.is_over {
            return Poll::Ready(None);
        }
        let frame = ready!(this.inner.poll_frame(cx));
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                *this.is_over = frame.is_trailers();
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                *this.is_over = true;
                let failure = Failure::of_body(&error);
                this.in_flight.failed(failure.reason());
                match *this.has_trailers && !is_reset_by_peer(&*error) {
                    true => Some(Ok(Frame::trailers(status(failure)))),
                    false => Some(Err(error)),
                }
            }
            None => {
                *this.is_over = true;
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn status(failure: Failure) -> HeaderMap {
    let (code, message) = failure.grpc_status();
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert("grpc-status", HeaderValue::from(u16::from(code)));
    trailers.insert("grpc-message", HeaderValue::from_static(message));
    trailers
}

fn is_reset_by_peer(error: &(dyn Error + 'static)) -> bool {
    cause_of::<h2::Error>(error).is_some_and(|h2| h2.is_reset() && h2.is_remote())
}

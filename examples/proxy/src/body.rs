//! The two bodies that pass through the proxy, frame by frame and never collected.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::metrics::InFlight;
use crate::upstream::UpstreamBody;

/// The body of a request on its way up: nothing, or the client's stream.
///
/// All attempts at a request share the stream until one of them begins to read it: from then on it belongs to that
/// attempt, and no other can have it. So a request may be tried again as long as no byte of its body has left.
#[derive(Debug)]
pub struct RequestBody {
    state: State,
    size: SizeHint,
}

#[derive(Debug)]
enum State {
    Empty,
    /// Nobody has begun to read; the first to do so takes the stream.
    Shared(Arc<Mutex<Option<Incoming>>>),
    Reading(Incoming),
}

impl RequestBody {
    /// A body that streams what the client sends.
    pub fn new(incoming: Incoming) -> Self {
        let size = incoming.size_hint();
        let state = match incoming.is_end_stream() {
            true => State::Empty,
            false => State::Shared(Arc::new(Mutex::new(Some(incoming)))),
        };
        Self { state, size }
    }

    /// A body of no bytes.
    pub fn empty() -> Self {
        Self {
            state: State::Empty,
            size: SizeHint::with_exact(0),
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        matches!(self.state, State::Empty)
    }

    /// Whether no byte has been read yet, by this attempt or another one.
    pub fn is_untouched(&self) -> bool {
        match &self.state {
            State::Empty => true,
            State::Shared(stream) => lock(stream).is_some(),
            State::Reading(_) => false,
        }
    }

    /// The same body for one more attempt, unless it has been begun.
    pub fn share(&self) -> Option<Self> {
        let state = match &self.state {
            State::Empty => State::Empty,
            State::Shared(stream) => State::Shared(Arc::clone(stream)),
            State::Reading(_) => return None,
        };
        Some(Self {
            state,
            size: self.size,
        })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        // ## Shared => Reading
        if let State::Shared(stream) = &self.state {
            let Some(incoming) = lock(stream).take() else {
                return Poll::Ready(Some(Err(RequestBodyError::Taken)));
            };
            self.state = State::Reading(incoming);
        }
        match &mut self.state {
            State::Reading(incoming) => Pin::new(incoming)
                .poll_frame(cx)
                .map_err(RequestBodyError::Client),
            State::Empty | State::Shared(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Empty => true,
            State::Shared(_) => false,
            State::Reading(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Reading(incoming) => incoming.size_hint(),
            State::Empty | State::Shared(_) => self.size,
        }
    }
}

/// Why the body of a request ended before its end.
#[derive(Debug)]
#[non_exhaustive]
pub enum RequestBodyError {
    /// The client broke off.
    Client(hyper::Error),
    /// Another attempt had begun to send it.
    Taken,
}

impl std::fmt::Display for RequestBodyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Client(_) => "the client broke off its request body",
            Self::Taken => "another attempt has begun to send the request body",
        })
    }
}

impl std::error::Error for RequestBodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Client(error) => Some(error),
            Self::Taken => None,
        }
    }
}

/// The body of a response on its way down: the upstream's stream, or a few bytes of our own.
///
/// It ends the request's account in the metrics when it is dropped, read to its end or not.
#[derive(Debug)]
pub struct ResponseBody {
    content: Content,
    in_flight: Option<InFlight>,
}

#[derive(Debug)]
enum Content {
    Upstream(UpstreamBody),
    Own(Bytes),
}

impl ResponseBody {
    /// A body that streams what the upstream sends.
    pub fn upstream(body: UpstreamBody) -> Self {
        Self {
            content: Content::Upstream(body),
            in_flight: None,
        }
    }

    /// A body of the proxy's own words.
    pub fn own(text: impl Into<Bytes>) -> Self {
        Self {
            content: Content::Own(text.into()),
            in_flight: None,
        }
    }

    /// Keeps the request counted as in flight until the body is dropped.
    pub fn hold(mut self, in_flight: InFlight) -> Self {
        self.in_flight = Some(in_flight);
        self
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing panics while it holds one of these locks, and what they guard is whole at any time.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

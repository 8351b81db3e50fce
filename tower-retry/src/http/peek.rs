use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_classify::http::{Code, is_grpc};
use tower_service::Service;

use super::replay::{Progress, ReplayBody};

/// Middleware that peeks at the first frame of a gRPC response, so that a retry policy sees a status that is sent in trailers.
///
/// A server that fails before its first message may send headers and, directly after them, trailers. So the response is held
/// back to peek at the first frame of its body, if the request body has been sent completely; otherwise the server may be
/// waiting for the caller. It is held back only for what has arrived with the headers, as a stream may send its headers long
/// before its first message, and the caller may wait for them: the task yields twice to others, among them the one that reads
/// the connection, and then the response is returned. These are returned at once: HTTP responses that are not gRPC, responses
/// with their status in the headers, and responses to requests that cannot be retried.
#[derive(Clone, Debug)]
pub struct PeekTrailers<S> {
    inner: S,
}

impl<S> PeekTrailers<S> {
    /// Wraps `inner`, whose responses are peeked at.
    pub const fn new(inner: S) -> Self {
        Self { inner }
    }

    /// Returns a reference to the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<ReplayBody<B>>> for PeekTrailers<S>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<R>>,
    R: Body + Unpin,
{
    type Response = Response<PeekBody<R>>;
    type Error = S::Error;
    type Future = PeekFuture<S::Future, B, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReplayBody<B>>) -> Self::Future {
        let progress = match is_grpc(request.headers()) {
            true => request.body().progress(),
            false => Progress::Unknown,
        };
        PeekFuture {
            inner: self.inner.call(request),
            progress,
            held: None,
        }
    }
}

pin_project! {
    /// The response future of [`PeekTrailers`].
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct PeekFuture<F, B, R>
    where
        R: Body,
    {
        #[pin]
        inner: F,
        progress: Progress<B>,
        // The response that is held back, and how often the task has yielded for its first frame.
        held: Option<(Response<PeekBody<R>>, u8)>,
    }
}

impl<F, B, R, E> Future for PeekFuture<F, B, R>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body + Unpin,
{
    type Output = Result<Response<PeekBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (mut response, yielded) = match this.held.take() {
            Some(held) => held,
            None => {
                let response = ready!(this.inner.poll(cx))?.map(PeekBody::new);
                let is_open =
                    Code::of(response.headers()).is_none() && !response.body().is_end_stream();
                if !is_open || !this.progress.is_complete() {
                    return Poll::Ready(Ok(response));
                }
                (response, 0)
            }
        };
        if response.body_mut().poll_first(cx).is_ready() || yielded == YIELDS {
            return Poll::Ready(Ok(response));
        }
        *this.held = Some((response, yielded + 1));
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<F, B, R: Body> fmt::Debug for PeekFuture<F, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeekFuture")
            .field("held", &self.held.is_some())
            .finish_non_exhaustive()
    }
}

/// A response body whose first frame may have been peeked at.
pub struct PeekBody<B: Body> {
    /// `None` if it was not peeked at, or has been read since. Boxed, to keep the body small: most bodies are not peeked at, and
    /// the layers above move them with their responses.
    first: Option<Box<First<B>>>,
    inner: B,
}

enum First<B: Body> {
    Frame(Frame<B::Data>),
    Failed(B::Error),
    /// The body has no frames.
    Ended,
}

impl<B: Body> PeekBody<B> {
    const fn new(inner: B) -> Self {
        Self { first: None, inner }
    }

    /// Returns the trailers, if they are the first frame and it was peeked at.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        match self.first.as_deref() {
            Some(First::Frame(frame)) => frame.trailers_ref(),
            _ => None,
        }
    }

    /// Returns whether the body is known to have failed, or to have ended without a frame.
    pub(super) fn is_broken(&self) -> bool {
        match self.first.as_deref() {
            Some(First::Failed(_) | First::Ended) => true,
            Some(First::Frame(_)) => false,
            None => self.inner.is_end_stream(),
        }
    }

    /// Returns the inner body. A frame that was peeked at is lost.
    pub fn into_inner(self) -> B {
        self.inner
    }
}

impl<B: Body + Unpin> PeekBody<B> {
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let first = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) => First::Frame(frame),
            Some(Err(error)) => First::Failed(error),
            None => First::Ended,
        };
        self.first = Some(Box::new(first));
        Poll::Ready(())
    }
}

// Neither the frame nor the error is structurally pinned.
impl<B: Body + Unpin> Unpin for PeekBody<B> {}

impl<B: Body + Unpin> Body for PeekBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let Some(first) = self.first.take() else {
            return Pin::new(&mut self.inner).poll_frame(cx);
        };
        match *first {
            First::Frame(frame) => Poll::Ready(Some(Ok(frame))),
            First::Failed(error) => Poll::Ready(Some(Err(error))),
            // Kept: the inner body must not be polled after its end.
            First::Ended => {
                self.first = Some(first);
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.first.as_deref() {
            None => self.inner.is_end_stream(),
            Some(First::Ended) => true,
            Some(First::Frame(_) | First::Failed(_)) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        use bytes::Buf;

        let mut hint = self.inner.size_hint();
        if let Some(First::Frame(frame)) = self.first.as_deref()
            && let Some(data) = frame.data_ref()
        {
            let first = data.remaining() as u64;
            let upper = hint.upper().and_then(|upper| upper.checked_add(first));
            let lower = hint.lower().saturating_add(first);
            hint = SizeHint::new();
            hint.set_lower(lower);
            if let Some(upper) = upper {
                hint.set_upper(upper);
            }
        }
        hint
    }
}

impl<B: Body + fmt::Debug> fmt::Debug for PeekBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeekBody")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

/// The trailers of a failed call usually follow its headers in the same packet. The task that reads the connection may wake this
/// one between the two, and may run after another task that shares the connection.
const YIELDS: u8 = 2;

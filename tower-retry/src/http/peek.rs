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

/// Middleware that waits for the first frame of a gRPC response, so that a retry can see a status that comes in trailers.
///
/// A server that fails before its first message may answer with headers and, right after them, with trailers. The answer is
/// held back for the first frame of its body, if the request has been sent whole by then, so that the server does not wait
/// for the caller; and only for what has come with the headers: the head of a stream may come long before its first message,
/// and the caller may wait for it. So it yields twice to the other tasks, among them the one that reads the connection, and
/// passes then. Answers of HTTP, those that have their status in the headers, and those to requests that cannot be sent again
/// pass at once.
#[derive(Clone, Debug)]
pub struct PeekTrailers<S> {
    inner: S,
}

impl<S> PeekTrailers<S> {
    /// Looks at the responses of `inner`.
    pub const fn new(inner: S) -> Self {
        Self { inner }
    }

    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside.
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
    /// The response of a [`PeekTrailers`].
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct PeekFuture<F, B, R>
    where
        R: Body,
    {
        #[pin]
        inner: F,
        progress: Progress<B>,
        // The response, when its first frame is waited for, and how often the task has yielded for it.
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

/// The body of a response whose first frame may have been looked at.
pub struct PeekBody<B: Body> {
    /// `None` if it was not polled for, or was read since. In a box, since most bodies pass unseen, and are moved with their
    /// response by the layers above.
    first: Option<Box<First<B>>>,
    inner: B,
}

enum First<B: Body> {
    Frame(Frame<B::Data>),
    Failed(B::Error),
    /// There is none.
    Ended,
}

impl<B: Body> PeekBody<B> {
    const fn new(inner: B) -> Self {
        Self { first: None, inner }
    }

    /// The trailers, if these are all that there is.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        match self.first.as_deref() {
            Some(First::Frame(frame)) => frame.trailers_ref(),
            _ => None,
        }
    }

    /// Whether it has failed or ended before there was anything in it.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self.first.as_deref(), Some(First::Failed(_) | First::Ended))
    }

    /// The body inside. What was looked at of it is lost.
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

// Neither a frame nor an error is ever pinned.
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
            // It stays so: the body inside must not be asked again.
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

/// Trailers that belong to a failed call follow its headers in the same packet. The task that reads them may wake this one
/// between the two, and another that it shares the connection with may be before it.
const YIELDS: u8 = 2;

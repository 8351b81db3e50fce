use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;
use tower::BoxError;
use tower::timeout::http::TimeoutBody;

use super::BodyFailure;
use super::client::ClientBody;

/// The body that a client sends, under its time limits.
///
/// All layers move it with its request, so it is a single pointer, and `None` if the body is empty.
#[derive(Debug)]
pub struct UploadBody<B = ClientBody>(Option<Box<Coming<B>>>);

#[derive(Debug)]
struct Coming<B> {
    /// The frames received before the request was forwarded.
    held: VecDeque<Frame<Bytes>>,
    /// The number of bytes in them; trailers count as one.
    weight: usize,
    inner: TimeoutBody<B>,
    /// Whether `inner` has ended.
    ended: bool,
    /// Whether it was read. Until then an empty body that was waited for is still reported as a body, so that the
    /// request keeps the framing that the client gave it.
    begun: bool,
    arrival: Option<Arrived>,
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> UploadBody<B> {
    /// Wraps `inner`, of which nothing has been received yet.
    pub fn new(inner: TimeoutBody<B>) -> Self {
        if inner.is_end_stream() {
            return Self(None);
        }
        Self(Some(Box::new(Coming {
            held: VecDeque::new(),
            weight: 0,
            inner,
            ended: false,
            begun: false,
            arrival: None,
        })))
    }

    /// Creates an empty body.
    pub const fn empty() -> Self {
        Self(None)
    }

    /// Returns `Ready` once this number of bytes, or the whole body, has been received. They are kept and read first
    /// afterwards.
    ///
    /// # Errors
    ///
    /// If the body fails before that.
    pub fn poll_arrived(
        &mut self,
        bytes: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), BodyFailure>> {
        match &mut self.0 {
            Some(body) => body.poll_arrived(bytes, cx),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Returns the deadline of the whole body, or `None` if it has none.
    pub fn end(&self) -> Option<Instant> {
        self.0.as_ref()?.inner.end()
    }

    /// Returns whether the client has sent the whole body.
    pub fn has_arrived(&self) -> bool {
        self.0.as_ref().is_none_or(|body| body.ended)
    }

    /// Returns a handle that reports when the client has sent the whole body, or the body is dropped.
    pub fn watch(&mut self) -> Arc<Arrival> {
        let arrival = Arc::new(Arrival::default());
        let arrived = Arrived(Arc::clone(&arrival));
        match &mut self.0 {
            Some(body) if !body.ended => body.arrival = Some(arrived),
            _ => drop(arrived),
        }
        arrival
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Coming<B> {
    fn poll_arrived(
        &mut self,
        bytes: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), BodyFailure>> {
        while self.weight < bytes && !self.ended && self.held.len() < MOST_FRAMES {
            match ready!(self.poll_inner(cx)).transpose() {
                Err(error) => return Poll::Ready(Err(BodyFailure::of(&*error))),
                Ok(None) => {}
                Ok(Some(frame)) => {
                    let length = frame.data_ref().map_or(1, Bytes::len);
                    self.weight = self.weight.saturating_add(length);
                    if length > 0 {
                        self.held.push_back(frame);
                    }
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.begun = true;
        if let Some(frame) = self.held.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        self.poll_inner(cx)
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let is_last = match &frame {
            Some(Ok(frame)) => frame.is_trailers() || self.inner.is_end_stream(),
            Some(Err(_)) | None => true,
        };
        if is_last {
            self.ended = true;
            self.arrival = None;
        }
        Poll::Ready(frame)
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.iter().filter_map(Frame::data_ref);
        let held: u64 = held.map(|data| data.len() as u64).sum();
        let inner = self.inner.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(held));
        if let Some(upper) = inner.upper().and_then(|upper| upper.checked_add(held)) {
            hint.set_upper(upper);
        }
        hint
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for UploadBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Some(body) => body.poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        let is_over = |body: &Coming<B>| body.begun && body.ended && body.held.is_empty();
        self.0.as_deref().is_none_or(is_over)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Some(body) => body.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

/// Reports when a body has been received.
#[derive(Debug, Default)]
pub struct Arrival {
    arrived: AtomicBool,
    waker: AtomicWaker,
}

impl Arrival {
    /// Returns `Ready` once the client has sent its whole body, or the body is dropped.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.arrived.load(Ordering::Acquire) {
            self.waker.register(cx.waker());
            if !self.arrived.load(Ordering::Acquire) {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }
}

/// Reports the arrival when dropped.
#[derive(Debug)]
struct Arrived(Arc<Arrival>);

impl Drop for Arrived {
    fn drop(&mut self) {
        self.0.arrived.store(true, Ordering::Release);
        self.0.waker.wake();
    }
}

/// The maximum number of frames kept: each allocates, even if it is one byte long.
const MOST_FRAMES: usize = 1024;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use futures_util::{StreamExt, stream};
    use http::HeaderMap;
    use http_body_util::{BodyExt, Full, StreamBody};

    use super::*;

    fn body(
        pieces: &[&'static str],
    ) -> UploadBody<impl Body<Data = Bytes, Error = BoxError> + Unpin + use<>> {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| Ok::<_, BoxError>(Frame::data(Bytes::from(*piece))))
            .collect();
        UploadBody::new(TimeoutBody::new(StreamBody::new(stream::iter(pieces))))
    }

    async fn arrive<B>(body: &mut UploadBody<B>, bytes: usize)
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
    {
        poll_fn(|cx| body.poll_arrived(bytes, cx)).await.unwrap();
    }

    #[tokio::test]
    async fn buffered_frames_are_read_first() {
        for bytes in [0, 1, 5, 6, 100] {
            let mut body = body(&["hello", "", " ", "world"]);
            arrive(&mut body, bytes).await;
            assert_eq!(body.has_arrived(), bytes == 100, "{bytes}");
            assert_eq!(
                body.size_hint().exact(),
                None,
                "its length is as little known as before"
            );
            assert!(!body.is_end_stream());
            assert_eq!(body.collect().await.unwrap().to_bytes(), "hello world");
        }
    }

    #[tokio::test]
    async fn a_known_length_stays_known() {
        let mut body = UploadBody::new(TimeoutBody::new(Full::new(Bytes::from("hello"))));
        assert_eq!(body.size_hint().exact(), Some(5));
        arrive(&mut body, 1).await;
        assert_eq!(body.size_hint().exact(), Some(5));
        assert!(body.has_arrived() && !body.is_end_stream());
    }

    #[tokio::test]
    async fn an_empty_body_is_a_body_until_it_is_read() {
        let mut empty = body(&["", ""]);
        arrive(&mut empty, 1).await;
        assert!(empty.has_arrived() && !empty.is_end_stream());
        assert!(empty.frame().await.is_none());
        assert!(empty.is_end_stream());
        let none = UploadBody::new(TimeoutBody::new(Full::new(Bytes::new())));
        assert!(none.has_arrived() && none.is_end_stream());
    }

    #[tokio::test]
    async fn trailers_are_kept() {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "1".parse().unwrap());
        let frames = [
            Ok::<_, BoxError>(Frame::data(Bytes::from("a"))),
            Ok(Frame::trailers(trailers.clone())),
        ];
        let mut body = UploadBody::new(TimeoutBody::new(StreamBody::new(stream::iter(frames))));
        arrive(&mut body, 100).await;
        let collected = body.collect().await.unwrap();
        assert_eq!(collected.trailers(), Some(&trailers));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_a_failure_and_an_arrival() {
        let silent = StreamBody::new(stream::pending::<Result<Frame<Bytes>, BoxError>>());
        let mut body = UploadBody::new(TimeoutBody::new(silent).idle(Duration::from_secs(5)));
        let arrival = body.watch();
        let arrived = poll_fn(|cx| body.poll_arrived(1, cx)).await;
        let failure = arrived.unwrap_err();
        assert!(matches!(failure, BodyFailure::TimedOut(_)), "{failure}");
        poll_fn(|cx| arrival.poll(cx)).await;
    }

    #[tokio::test]
    async fn a_body_that_is_dropped_has_arrived() {
        let pieces = stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from("a")))]);
        let endless = StreamBody::new(pieces.chain(stream::pending()));
        let mut body = UploadBody::new(TimeoutBody::new(endless));
        let arrival = body.watch();
        arrive(&mut body, 1).await;
        let early = poll_fn(|cx| Poll::Ready(arrival.poll(cx))).await;
        assert!(early.is_pending());
        drop(body);
        poll_fn(|cx| arrival.poll(cx)).await;
    }
}

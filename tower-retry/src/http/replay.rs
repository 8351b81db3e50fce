use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tower_readiness::ignore_poison;

use crate::BoxError;

/// A body that can be sent more than once.
///
/// While the first attempt sends the body, its chunks are buffered, up to a limit of bytes and 1,024 chunks. A clone first replays
/// the buffered chunks, then continues with the original body. When the limit is exceeded, the buffer is dropped at once; the
/// current attempt continues, and no other is possible. Trailers and size hints are those of the original; empty frames are
/// skipped.
///
/// All clones share the original. Each of them reads the buffered chunks; only the clone that started to read last can read on
/// from the original, and any other fails with [`ReplayError::Superseded`] when it gets there. Once no clone is left that has not
/// started to read, no more chunks are buffered, and buffered ones are freed as soon as all readers have read them.
///
/// # Cost
///
/// One allocation per body, none if it is empty. The buffer holds references to the chunks, not copies of the data.
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use http_body_util::{BodyExt, Full};
/// use tower_retry::http::ReplayBody;
///
/// let first = ReplayBody::new(Full::new(bytes::Bytes::from("hello")), 64 * 1024);
/// let second = first.try_clone().unwrap();
/// assert_eq!(first.collect().await.unwrap().to_bytes(), "hello");
/// assert_eq!(second.collect().await.unwrap().to_bytes(), "hello");
/// # }
/// ```
pub struct ReplayBody<B>(State<B>);

enum State<B> {
    /// The body is empty.
    Empty,
    /// Passed through without a buffer; cannot be replayed.
    Once(B),
    Waiting(Unread<B>),
    Reading(Reader<B>),
}

impl<B: Body> ReplayBody<B> {
    /// Creates a body of which up to `limit` bytes are buffered. If it is known to be longer, nothing is.
    pub fn new(body: B, limit: usize) -> Self {
        if body.is_end_stream() {
            return Self(State::Empty);
        }
        let too_long = body.size_hint().lower() > limit as u64;
        let buffer = Buffer::new(body, if too_long { 0 } else { limit });
        Self(State::Waiting(Unread(Arc::new(Mutex::new(buffer)))))
    }

    /// Creates a body that is passed through and cannot be replayed.
    pub const fn once(body: B) -> Self {
        Self(State::Once(body))
    }
}

impl<B> ReplayBody<B> {
    /// Returns a clone that reads the body from its beginning, or `None` if this one has started to read or cannot be replayed.
    pub fn try_clone(&self) -> Option<Self> {
        match &self.0 {
            State::Empty => Some(Self(State::Empty)),
            State::Waiting(unread) => Some(Self(State::Waiting(unread.try_clone()?))),
            State::Once(_) | State::Reading(..) => None,
        }
    }

    /// Returns whether the body can be sent from its beginning: this clone has not started to read, and all that others have read
    /// is buffered.
    pub fn is_replayable(&self) -> bool {
        match &self.0 {
            State::Empty => true,
            State::Waiting(unread) => !ignore_poison(unread.0.lock()).lost,
            State::Once(_) | State::Reading(..) => false,
        }
    }

    /// Returns whether the body is buffered completely, to its end, so that it can be sent without polling the original.
    pub fn is_complete(&self) -> bool {
        match &self.0 {
            State::Empty => true,
            State::Waiting(Unread(buffer)) => ignore_poison(buffer.lock()).is_complete(),
            State::Once(_) | State::Reading(..) => false,
        }
    }

    /// Stops the current reader from polling the original, since another attempt is going to send the body. Returns `false` if the
    /// body cannot be sent any more.
    pub(super) fn claim(&self) -> bool {
        if let State::Waiting(Unread(buffer)) = &self.0 {
            let mut buffer = ignore_poison(buffer.lock());
            if !buffer.lost {
                buffer.newest += 1;
                let waker = buffer.waker.take();
                drop(buffer);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
        }
        self.is_replayable()
    }

    /// Returns a handle that shows whether the body is buffered completely, even after the body has been moved away.
    pub(super) fn progress(&self) -> Progress<B> {
        match &self.0 {
            State::Empty => Progress::Complete,
            State::Once(_) => Progress::Unknown,
            State::Waiting(Unread(buffer)) | State::Reading(Reader { buffer, .. }) => {
                Progress::Of(Arc::clone(buffer))
            }
        }
    }
}

impl<B> Body for ReplayBody<B>
where
    B: Body<Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // ## Waiting => Reading
        if let State::Waiting(Unread(buffer)) = &self.0 {
            let reader = Reader::begin(buffer);
            self.0 = State::Reading(reader);
        }
        match &mut self.0 {
            State::Once(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                Poll::Ready(frame.map(|frame| match frame {
                    Ok(frame) => Ok(frame.map_data(to_bytes)),
                    Err(error) => Err(error.into()),
                }))
            }
            State::Reading(reader) => reader.poll_frame(cx),
            State::Empty | State::Waiting(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            State::Empty => true,
            State::Once(body) => body.is_end_stream(),
            // A body that is at its end when it is created is `Empty`.
            State::Waiting(_) => false,
            State::Reading(reader) => reader.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            State::Empty => SizeHint::with_exact(0),
            State::Once(body) => body.size_hint(),
            State::Waiting(Unread(buffer)) => ignore_poison(buffer.lock()).size_hint(0),
            State::Reading(reader) => {
                let buffer = ignore_poison(reader.buffer.lock());
                buffer.size_hint(buffer.position(reader.number))
            }
        }
    }
}

impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayBody")
            .field("replayable", &self.is_replayable())
            .finish_non_exhaustive()
    }
}

/// Shows whether a body is buffered completely.
pub(super) enum Progress<B> {
    Complete,
    Unknown,
    Of(Arc<Mutex<Buffer<B>>>),
}

impl<B> Progress<B> {
    /// Returns whether the body was read to its end and can be replayed.
    pub(super) fn is_complete(&self) -> bool {
        match self {
            Self::Complete => true,
            Self::Unknown => false,
            Self::Of(buffer) => ignore_poison(buffer.lock()).is_complete(),
        }
    }
}

/// A clone that has not started to read. While there is one, chunks are buffered for it.
struct Unread<B>(Arc<Mutex<Buffer<B>>>);

impl<B> Unread<B> {
    fn try_clone(&self) -> Option<Self> {
        let mut buffer = ignore_poison(self.0.lock());
        if buffer.lost {
            return None;
        }
        buffer.unread += 1;
        Some(Self(Arc::clone(&self.0)))
    }
}

impl<B> Drop for Unread<B> {
    fn drop(&mut self) {
        let mut buffer = ignore_poison(self.0.lock());
        buffer.unread -= 1;
        buffer.release();
    }
}

/// A clone that has started to read.
struct Reader<B> {
    buffer: Arc<Mutex<Buffer<B>>>,
    number: u64,
    /// Whether the trailers have been returned, if there are any.
    trailers_read: bool,
}

impl<B> Reader<B> {
    /// Starts to read. From now on only this reader may poll the original.
    fn begin(buffer: &Arc<Mutex<Buffer<B>>>) -> Self {
        let mut state = ignore_poison(buffer.lock());
        state.newest += 1;
        let number = state.newest;
        state.positions.push((number, 0));
        let waker = state.waker.take();
        drop(state);
        // The superseded reader fails at its next poll, which frees its connection.
        if let Some(waker) = waker {
            waker.wake();
        }
        Self {
            buffer: Arc::clone(buffer),
            number,
            trailers_read: false,
        }
    }
}

impl<B> Reader<B>
where
    B: Body<Error: Into<BoxError>> + Unpin,
{
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut buffer = ignore_poison(self.buffer.lock());
        match ready!(buffer.poll_chunk(self.number, cx)).transpose()? {
            Some(chunk) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
            None if std::mem::replace(&mut self.trailers_read, true) => Poll::Ready(None),
            None => {
                let trailers = buffer.trailers.clone();
                Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let buffer = ignore_poison(self.buffer.lock());
        buffer.ended
            && buffer.position(self.number) == buffer.first + buffer.chunks.len()
            && (buffer.trailers.is_none() || self.trailers_read)
    }
}

impl<B> Drop for Reader<B> {
    fn drop(&mut self) {
        let mut buffer = ignore_poison(self.buffer.lock());
        buffer
            .positions
            .retain(|(number, _)| *number != self.number);
        buffer.release();
    }
}

/// The original body and the buffer.
pub(super) struct Buffer<B> {
    original: B,
    /// Whether the original has been read to its end.
    ended: bool,
    /// The buffered chunks, from number `first` on. If nothing is lost, these are all that were read.
    chunks: VecDeque<Bytes>,
    first: usize,
    /// The number of bytes that were read, and the limit up to which they are buffered.
    size: usize,
    limit: usize,
    trailers: Option<HeaderMap>,
    /// Whether a chunk that was read is not in the buffer any more.
    lost: bool,
    /// The number of clones that have not started to read.
    unread: usize,
    /// The readers: the number of each, and that of its next chunk.
    positions: Vec<(u64, usize)>,
    /// The number of the reader that may poll the original. It may not exist yet, or not any more.
    newest: u64,
    waker: Option<Waker>,
}

impl<B> Buffer<B> {
    fn new(original: B, limit: usize) -> Self {
        Self {
            original,
            ended: false,
            chunks: VecDeque::new(),
            first: 0,
            size: 0,
            limit,
            trailers: None,
            lost: false,
            unread: 1,
            positions: Vec::new(),
            newest: 0,
            waker: None,
        }
    }

    fn is_complete(&self) -> bool {
        self.ended && !self.lost
    }

    fn position(&self, reader: u64) -> usize {
        let position = self.positions.iter().find(|(number, _)| *number == reader);
        position.map_or(0, |(_, position)| *position)
    }

    fn set_position(&mut self, reader: u64, to: usize) {
        if let Some((_, position)) = self
            .positions
            .iter_mut()
            .find(|(number, _)| *number == reader)
        {
            *position = to;
        }
    }

    /// Drops the chunks that no clone will read.
    fn release(&mut self) {
        if self.unread > 0 {
            return;
        }
        let end = self.first + self.chunks.len();
        let wanted = self.positions.iter().map(|(_, position)| *position).min();
        for _ in self.first..wanted.unwrap_or(end).min(end) {
            self.chunks.pop_front();
            self.first += 1;
            self.lost = true;
        }
    }

    /// Buffers a chunk that was read, if another clone may need it and the limit allows it. Otherwise drops the whole buffer.
    fn push(&mut self, chunk: &Bytes) {
        self.size += chunk.len();
        let wanted = self.unread > 0 || self.positions.len() > 1;
        let fits = self.size <= self.limit && self.chunks.len() < MAX_CHUNKS;
        if wanted && fits && !self.lost {
            self.chunks.push_back(chunk.clone());
        } else {
            self.lost = true;
            self.first += self.chunks.len() + 1;
            self.chunks = VecDeque::new();
        }
    }
}

impl<B> Buffer<B>
where
    B: Body<Error: Into<BoxError>> + Unpin,
{
    /// Returns the next chunk of a reader, or `None` at the end of the body.
    fn poll_chunk(
        &mut self,
        reader: u64,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BoxError>>> {
        let position = self.position(reader);
        let Some(index) = position.checked_sub(self.first) else {
            return Poll::Ready(Some(Err(ReplayError::TooLong.into())));
        };
        if let Some(chunk) = self.chunks.get(index).cloned() {
            self.set_position(reader, position + 1);
            self.release();
            return Poll::Ready(Some(Ok(chunk)));
        }
        while !self.ended {
            if reader != self.newest {
                return Poll::Ready(Some(Err(ReplayError::Superseded.into())));
            }
            match Pin::new(&mut self.original).poll_frame(cx) {
                Poll::Pending => {
                    self.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Poll::Ready(None) => self.ended = true,
                Poll::Ready(Some(Err(error))) => {
                    self.lost = true;
                    return Poll::Ready(Some(Err(error.into())));
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        let chunk = to_bytes(data);
                        self.ended = self.original.is_end_stream();
                        if !chunk.is_empty() {
                            self.set_position(reader, position + 1);
                            self.push(&chunk);
                            return Poll::Ready(Some(Ok(chunk)));
                        }
                    }
                    Err(frame) => {
                        self.ended = true;
                        self.trailers = frame.into_trailers().ok();
                    }
                },
            }
        }
        Poll::Ready(None)
    }

    /// Returns the size hint of a clone whose next chunk has the number `position`.
    fn size_hint(&self, position: usize) -> SizeHint {
        let kept = self.chunks.iter().skip(position.saturating_sub(self.first));
        let kept: u64 = kept.map(|chunk| chunk.len() as u64).sum();
        let original = match self.ended {
            true => SizeHint::with_exact(0),
            false => self.original.size_hint(),
        };
        let mut hint = SizeHint::new();
        hint.set_lower(original.lower().saturating_add(kept));
        if let Some(upper) = original.upper().and_then(|upper| upper.checked_add(kept)) {
            hint.set_upper(upper);
        }
        hint
    }
}

/// Why a [`ReplayBody`] failed, other than by an error of the original body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayError {
    /// Another attempt has started to send the body.
    Superseded,
    /// The body is longer than the limit, and its beginning is not buffered any more.
    TooLong,
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Superseded => "another attempt has started to send the request body",
            Self::TooLong => "the request body is too long to be replayed",
        })
    }
}

impl std::error::Error for ReplayError {}

fn to_bytes(mut data: impl Buf) -> Bytes {
    data.copy_to_bytes(data.remaining())
}

/// Limits the number of chunks, as even a chunk of one byte may keep a whole allocation alive.
const MAX_CHUNKS: usize = 1024;

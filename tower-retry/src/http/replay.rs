use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::BoxError;

/// A body that can be sent again.
///
/// What the first attempt sends is kept, up to a limit of bytes and 1,024 chunks; a copy sends that once more, and goes on
/// where the first one stopped. Over the limit, all that was kept is dropped at once, the attempt that runs goes on, and no
/// other one can be made. Trailers and size hints are those of the original; frames without a byte are left out.
///
/// All copies share the original. What is kept, each of them reads for itself; what is still to come has the one that began to
/// read last, and another one that wants more of it fails with [`ReplayError::Superseded`]. When the last copy that has not
/// begun is dropped, nothing is kept any more, and what was kept only until those that read have read it.
///
/// # Cost
///
/// One allocation for a body, none for one without a byte. What is kept are references to the chunks, not copies of them.
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
    /// There is nothing to send.
    Empty,
    /// Passes through, and cannot be sent again.
    Once(B),
    Waiting(Unread<B>),
    Reading(Reader<B>),
}

impl<B: Body> ReplayBody<B> {
    /// A body of which up to `limit` bytes are kept. Of one that is known to be longer, nothing is.
    pub fn new(body: B, limit: usize) -> Self {
        if body.is_end_stream() {
            return Self(State::Empty);
        }
        let too_long = body.size_hint().lower() > limit as u64;
        let shared = Shared::new(body, if too_long { 0 } else { limit });
        Self(State::Waiting(Unread(Arc::new(Mutex::new(shared)))))
    }

    /// A body that passes through, and cannot be sent again.
    pub const fn once(body: B) -> Self {
        Self(State::Once(body))
    }
}

impl<B> ReplayBody<B> {
    /// The same body from its beginning; `None` if it has begun to read, or cannot be sent again.
    pub fn try_clone(&self) -> Option<Self> {
        match &self.0 {
            State::Empty => Some(Self(State::Empty)),
            State::Waiting(unread) => Some(Self(State::Waiting(unread.try_clone()?))),
            State::Once(_) | State::Reading(..) => None,
        }
    }

    /// Whether all of it could be sent now: it has not begun to read, and what others have read of it is kept.
    pub fn is_replayable(&self) -> bool {
        match &self.0 {
            State::Empty => true,
            State::Waiting(unread) => !lock(&unread.0).lost,
            State::Once(_) | State::Reading(..) => false,
        }
    }

    /// Whether all of it is kept: it has come to its end, and can be sent without waiting for anything.
    pub fn is_complete(&self) -> bool {
        match &self.0 {
            State::Empty => true,
            State::Waiting(Unread(shared)) => lock(shared).is_complete(),
            State::Once(_) | State::Reading(..) => false,
        }
    }

    /// Takes what is still to come from whoever reads it: another attempt is decided. `false` if that cannot be made any more.
    pub(super) fn claim(&self) -> bool {
        if let State::Waiting(Unread(shared)) = &self.0 {
            let mut shared = lock(shared);
            if !shared.lost {
                shared.newest += 1;
                let superseded = shared.waker.take();
                drop(shared);
                if let Some(superseded) = superseded {
                    superseded.wake();
                }
            }
        }
        self.is_replayable()
    }

    /// Tells whether all of it is kept, also when it is not here any more.
    pub(super) fn progress(&self) -> Progress<B> {
        match &self.0 {
            State::Empty => Progress::Complete,
            State::Once(_) => Progress::Unknown,
            State::Waiting(Unread(shared)) | State::Reading(Reader { shared, .. }) => {
                Progress::Of(Arc::clone(shared))
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
        if let State::Waiting(Unread(shared)) = &self.0 {
            let reader = Reader::begin(shared);
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
            // It was not when it was made, and there is more in it than its end.
            State::Waiting(_) => false,
            State::Reading(reader) => reader.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            State::Empty => SizeHint::with_exact(0),
            State::Once(body) => body.size_hint(),
            State::Waiting(Unread(shared)) => lock(shared).size_hint(0),
            State::Reading(reader) => {
                let shared = lock(&reader.shared);
                shared.size_hint(shared.position(reader.number))
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

/// How much of a body is kept.
pub(super) enum Progress<B> {
    Complete,
    Unknown,
    Of(Arc<Mutex<Shared<B>>>),
}

impl<B> Progress<B> {
    /// Whether it was read to its end, and could be sent again.
    pub(super) fn is_complete(&self) -> bool {
        match self {
            Self::Complete => true,
            Self::Unknown => false,
            Self::Of(shared) => lock(shared).is_complete(),
        }
    }
}

/// A copy that has not begun to read. While there is one, what is read is kept for it.
struct Unread<B>(Arc<Mutex<Shared<B>>>);

impl<B> Unread<B> {
    fn try_clone(&self) -> Option<Self> {
        let mut shared = lock(&self.0);
        if shared.lost {
            return None;
        }
        shared.unread += 1;
        Some(Self(Arc::clone(&self.0)))
    }
}

impl<B> Drop for Unread<B> {
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        shared.unread -= 1;
        shared.release();
    }
}

/// A copy that reads.
struct Reader<B> {
    shared: Arc<Mutex<Shared<B>>>,
    number: u64,
    /// Of the end, only the trailers are told, and once.
    trailers_read: bool,
}

impl<B> Reader<B> {
    /// What is still to come is its own from now on.
    fn begin(shared: &Arc<Mutex<Shared<B>>>) -> Self {
        let mut state = lock(shared);
        state.newest += 1;
        let number = state.newest;
        state.positions.push((number, 0));
        let superseded = state.waker.take();
        drop(state);
        // So that it learns of it, and lets go of its connection.
        if let Some(superseded) = superseded {
            superseded.wake();
        }
        Self {
            shared: Arc::clone(shared),
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
        let mut shared = lock(&self.shared);
        match ready!(shared.poll_chunk(self.number, cx)).transpose()? {
            Some(chunk) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
            None if std::mem::replace(&mut self.trailers_read, true) => Poll::Ready(None),
            None => {
                let trailers = shared.trailers.clone();
                Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let shared = lock(&self.shared);
        shared.ended
            && shared.position(self.number) == shared.first + shared.kept.len()
            && (shared.trailers.is_none() || self.trailers_read)
    }
}

impl<B> Drop for Reader<B> {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        shared
            .positions
            .retain(|(number, _)| *number != self.number);
        shared.release();
    }
}

/// The original, and what is kept of it.
pub(super) struct Shared<B> {
    original: B,
    /// It has come to its end.
    ended: bool,
    /// The chunks from number `first` on: of all that were read, if nothing is lost.
    kept: VecDeque<Bytes>,
    first: usize,
    /// How many bytes these are, and how many there may be.
    size: usize,
    limit: usize,
    trailers: Option<HeaderMap>,
    /// Something that was read is not kept.
    lost: bool,
    /// How many have not begun to read.
    unread: usize,
    /// Those that read, by number, each with that of its next chunk.
    positions: Vec<(u64, usize)>,
    /// What is to come is for the reader of this number, if that is here yet.
    newest: u64,
    waker: Option<Waker>,
}

impl<B> Shared<B> {
    fn new(original: B, limit: usize) -> Self {
        Self {
            original,
            ended: false,
            kept: VecDeque::new(),
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

    /// Drops what nobody will read any more.
    fn release(&mut self) {
        if self.unread > 0 {
            return;
        }
        let end = self.first + self.kept.len();
        let wanted = self.positions.iter().map(|(_, position)| *position).min();
        for _ in self.first..wanted.unwrap_or(end).min(end) {
            self.kept.pop_front();
            self.first += 1;
            self.lost = true;
        }
    }

    /// A chunk was read, and is kept if it is wanted and there is room.
    fn keep(&mut self, chunk: &Bytes) {
        self.size += chunk.len();
        let wanted = self.unread > 0 || self.positions.len() > 1;
        let fits = self.size <= self.limit && self.kept.len() < MOST_CHUNKS;
        if wanted && fits && !self.lost {
            self.kept.push_back(chunk.clone());
        } else {
            self.lost = true;
            self.first += self.kept.len() + 1;
            self.kept = VecDeque::new();
        }
    }
}

impl<B> Shared<B>
where
    B: Body<Error: Into<BoxError>> + Unpin,
{
    /// The next chunk of a reader; `None` when there are no more.
    fn poll_chunk(
        &mut self,
        reader: u64,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BoxError>>> {
        let position = self.position(reader);
        let Some(index) = position.checked_sub(self.first) else {
            return Poll::Ready(Some(Err(ReplayError::TooLong.into())));
        };
        if let Some(chunk) = self.kept.get(index).cloned() {
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
                            self.keep(&chunk);
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

    /// Of what is to come for one whose next chunk is that of number `position`.
    fn size_hint(&self, position: usize) -> SizeHint {
        let kept = self.kept.iter().skip(position.saturating_sub(self.first));
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

/// Why a body ends before its end, other than because its original fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayError {
    /// Another attempt has begun to send it.
    Superseded,
    /// What was read before is not kept any more.
    TooLong,
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Superseded => "another attempt has begun to send the request body",
            Self::TooLong => "the request body is too long to be sent again",
        })
    }
}

impl std::error::Error for ReplayError {}

fn to_bytes(mut data: impl Buf) -> Bytes {
    data.copy_to_bytes(data.remaining())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Each holds memory of its own, and be it one byte long.
const MOST_CHUNKS: usize = 1024;

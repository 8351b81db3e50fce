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
/// What the first attempt sends is kept, up to a limit; a copy sends that once more, and goes on where the first one
/// stopped. Over the limit, all that was kept is dropped at once, the attempt that runs goes on, and no other one can be made.
/// Trailers and size hints are those of the original.
///
/// All copies share the original. The one that began to read last has it; another one that reads fails with
/// [`ReplayError::Superseded`]. When the last copy that has not begun is dropped, what was kept is dropped as well, and
/// nothing is kept any more.
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
    /// The reader of this number.
    Reading(Arc<Mutex<Shared<B>>>, u64),
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

    /// A body that passes through, and cannot be sent again, unless there is nothing in it.
    pub fn once(body: B) -> Self {
        Self(match body.is_end_stream() {
            true => State::Empty,
            false => State::Once(body),
        })
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
            State::Waiting(Unread(shared)) => {
                let shared = lock(shared);
                shared.ended && !shared.lost
            }
            State::Once(_) | State::Reading(..) => false,
        }
    }

    /// Tells whether all of it was read, also when it is not here any more.
    pub(super) fn progress(&self) -> Progress<B> {
        match &self.0 {
            State::Empty => Progress::Ended,
            State::Once(_) => Progress::Unknown,
            State::Waiting(Unread(shared)) | State::Reading(shared, _) => {
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
            let (reader, superseded) = lock(shared).begin();
            self.0 = State::Reading(Arc::clone(shared), reader);
            // So that it learns of it, and lets go of its connection.
            if let Some(superseded) = superseded {
                superseded.wake();
            }
        }
        match &mut self.0 {
            State::Once(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                Poll::Ready(frame.map(|frame| match frame {
                    Ok(frame) => Ok(frame.map_data(to_bytes)),
                    Err(error) => Err(error.into()),
                }))
            }
            State::Reading(shared, reader) => lock(shared).poll_frame(*reader, cx),
            State::Empty | State::Waiting(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            State::Empty => true,
            State::Once(body) => body.is_end_stream(),
            // It was not when it was made, and there is more in it than its end.
            State::Waiting(_) => false,
            State::Reading(shared, reader) => lock(shared).is_end_stream(*reader),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            State::Empty => SizeHint::with_exact(0),
            State::Once(body) => body.size_hint(),
            State::Waiting(Unread(shared)) => lock(shared).size_hint(0),
            State::Reading(shared, _) => {
                let shared = lock(shared);
                shared.size_hint(shared.position)
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

/// How far a body was read.
pub(super) enum Progress<B> {
    Ended,
    Unknown,
    Of(Arc<Mutex<Shared<B>>>),
}

impl<B> Progress<B> {
    /// Whether all of it was read.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Ended => true,
            Self::Unknown => false,
            Self::Of(shared) => lock(shared).ended,
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
        lock(&self.0).forget_unread();
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
    /// Who began to read last, and the number of its next chunk.
    reader: u64,
    position: usize,
    trailers_read: bool,
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
            reader: 0,
            position: 0,
            trailers_read: false,
            waker: None,
        }
    }

    /// Another one reads from the beginning. Returns its number, and whom it has superseded.
    fn begin(&mut self) -> (u64, Option<Waker>) {
        self.reader += 1;
        self.position = 0;
        self.trailers_read = false;
        (self.reader, self.waker.take())
    }

    fn forget_unread(&mut self) {
        self.unread -= 1;
        if self.unread == 0 {
            // Nobody will read from the beginning any more.
            self.lost |= self.position > self.first;
            while self.first < self.position {
                self.kept.pop_front();
                self.first += 1;
            }
        }
    }

    /// The chunk is read, and kept if it is wanted and there is room.
    fn keep(&mut self, chunk: &Bytes) {
        self.position += 1;
        self.size += chunk.len();
        if self.unread > 0 && !self.lost && self.size <= self.limit {
            self.kept.push_back(chunk.clone());
        } else {
            self.lost = true;
            self.kept = VecDeque::new();
            self.first = self.position;
        }
    }
}

impl<B> Shared<B>
where
    B: Body<Error: Into<BoxError>> + Unpin,
{
    fn poll_frame(
        &mut self,
        reader: u64,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if reader != self.reader {
            return Poll::Ready(Some(Err(ReplayError::Superseded.into())));
        }
        let Some(index) = self.position.checked_sub(self.first) else {
            return Poll::Ready(Some(Err(ReplayError::TooLong.into())));
        };
        if index < self.kept.len() {
            let chunk = if self.unread > 0 {
                self.kept[index].clone()
            } else {
                self.first += 1;
                self.lost = true;
                self.kept.pop_front().expect("it is not empty")
            };
            self.position += 1;
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        if !self.ended {
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
                        self.keep(&chunk);
                        self.ended = self.original.is_end_stream();
                        return Poll::Ready(Some(Ok(Frame::data(chunk))));
                    }
                    Err(frame) => {
                        self.ended = true;
                        self.trailers = frame.into_trailers().ok();
                    }
                },
            }
        }
        if std::mem::replace(&mut self.trailers_read, true) {
            return Poll::Ready(None);
        }
        Poll::Ready(
            self.trailers
                .clone()
                .map(|trailers| Ok(Frame::trailers(trailers))),
        )
    }

    fn is_end_stream(&self, reader: u64) -> bool {
        reader == self.reader
            && self.ended
            && self.position == self.first + self.kept.len()
            && (self.trailers.is_none() || self.trailers_read)
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

//! When a request counts as done.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::note::{NoNote, Note};

/// Decides how long a request is counted, by putting its handle `H` where it lives that long.
///
/// # Example
///
/// Counting a request until its response is dropped:
///
/// ```
/// use tower_load::TrackCompletion;
///
/// #[derive(Clone)]
/// struct WhileHeld;
///
/// struct Held<V, H> {
///     response: V,
///     _handle: H,
/// }
///
/// impl<H, V> TrackCompletion<H, V> for WhileHeld {
///     type Output = Held<V, H>;
///
///     fn track_completion(&self, handle: H, response: V) -> Held<V, H> {
///         Held { response, _handle: handle }
///     }
/// }
///
/// assert_eq!(WhileHeld.track_completion("handle", 42).response, 42);
/// ```
pub trait TrackCompletion<H, V>: Clone {
    /// The response, with the handle in it or without.
    type Output;

    /// Takes the handle of a request whose response is `value`. The request counts as done when `handle` is dropped.
    fn track_completion(&self, handle: H, value: V) -> Self::Output;
}

/// A request is done when its response future is.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct CompleteOnResponse;

impl<H, V> TrackCompletion<H, V> for CompleteOnResponse {
    type Output = V;

    fn track_completion(&self, handle: H, value: V) -> V {
        drop(handle);
        value
    }
}

pin_project! {
    /// The response future of a counted request. An error, or dropping it, ends the count at once.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct TrackCompletionFuture<F, C, H, N = NoNote> {
        // Before `future`, so that a request that is dropped is over before what it held is.
        handle: Option<H>,
        #[pin]
        future: F,
        completion: C,
        note: N,
    }
}

impl<F, C, H> TrackCompletionFuture<F, C, H> {
    /// Hands `handle` to `completion` when `future` answers.
    pub const fn new(completion: C, handle: H, future: F) -> Self {
        Self::with_note(completion, handle, future, NoNote)
    }
}

impl<F, C, H, N> TrackCompletionFuture<F, C, H, N> {
    /// Like `new`; `note` notes in the handle what came of the request.
    pub(crate) const fn with_note(completion: C, handle: H, future: F, note: N) -> Self {
        Self {
            handle: Some(handle),
            future,
            completion,
            note,
        }
    }
}

impl<F, C, H, N, T, E> Future for TrackCompletionFuture<F, C, H, N>
where
    F: Future<Output = Result<T, E>>,
    C: TrackCompletion<H, T>,
    N: Note<H, T, E>,
{
    type Output = Result<C::Output, E>;

    /// # Panics
    ///
    /// If polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.future.poll(cx));
        let mut handle = this.handle.take().expect("polled after it was ready");
        this.note.note(&mut handle, result.as_ref());
        Poll::Ready(match result {
            Ok(value) => Ok(this.completion.track_completion(handle, value)),
            Err(error) => Err(error),
        })
    }
}

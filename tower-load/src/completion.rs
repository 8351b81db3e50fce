//! When a request is complete, and is no longer counted as in flight.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::record::{NoRecord, Record};

/// Decides how long a request counts as in flight: until its handle `H` is dropped.
///
/// # Example
///
/// A request that counts as in flight until its response is dropped:
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
    /// The response type, with or without the handle.
    type Output;

    /// Attaches the handle of a request to its response `value`, or drops it. The request is complete when `handle` is
    /// dropped.
    fn track_completion(&self, handle: H, value: V) -> Self::Output;
}

/// Completes a request when its response future is ready.
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
    /// The response future of a measured request. If it fails or is dropped, the request is complete immediately.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct TrackCompletionFuture<F, C, H, N = NoRecord> {
        // Declared before `future`, so that a cancelled request is complete before its inner future is dropped.
        handle: Option<H>,
        #[pin]
        future: F,
        completion: C,
        record: N,
    }
}

impl<F, C, H> TrackCompletionFuture<F, C, H> {
    /// Creates a future that passes `handle` to `completion` when `future` returns a response.
    pub const fn new(completion: C, handle: H, future: F) -> Self {
        Self::with_record(completion, handle, future, NoRecord)
    }
}

impl<F, C, H, N> TrackCompletionFuture<F, C, H, N> {
    /// Like `new`; `record` records the result of the request in the handle.
    pub(crate) const fn with_record(completion: C, handle: H, future: F, record: N) -> Self {
        Self {
            handle: Some(handle),
            future,
            completion,
            record,
        }
    }
}

impl<F, C, H, N, T, E> Future for TrackCompletionFuture<F, C, H, N>
where
    F: Future<Output = Result<T, E>>,
    C: TrackCompletion<H, T>,
    N: Record<H, T, E>,
{
    type Output = Result<C::Output, E>;

    /// # Panics
    ///
    /// If it is polled again after it returned `Ready`.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.future.poll(cx));
        let mut handle = this.handle.take().expect("polled after it was ready");
        this.record.record(&mut handle, result.as_ref());
        Poll::Ready(match result {
            Ok(value) => Ok(this.completion.track_completion(handle, value)),
            Err(error) => Err(error),
        })
    }
}

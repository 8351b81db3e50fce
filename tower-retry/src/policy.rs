use std::future::Future;
use std::task::{Context, Poll};

/// Decides which requests are retried, and when.
///
/// [`RetryPolicy`](crate::RetryPolicy) suits most services. If it does not suit yours, implement this trait, for example:
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::sync::Arc;
/// use tower_retry::backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff};
/// use tower_retry::budget::{Budget, TpsBudget};
/// use tower_retry::{Policy, Retry};
/// use tower_util::{ServiceExt, service_fn};
///
/// /// Retries after any error, while there are attempts left and the budget allows it.
/// #[derive(Clone)]
/// struct Attempts {
///     left: usize,
///     backoff: ExponentialBackoff,
///     budget: Arc<TpsBudget>,
/// }
///
/// impl<Req: Clone, Res, E> Policy<Req, Res, E> for Attempts {
///     type Future = <ExponentialBackoff as Backoff>::Future;
///
///     fn retry(&mut self, _request: &mut Req, result: &mut Result<Res, E>) -> Option<Self::Future> {
///         if result.is_ok() {
///             self.budget.deposit();
///             return None;
///         }
///         self.left = self.left.checked_sub(1)?;
///         self.budget.withdraw().then(|| self.backoff.next_backoff())
///     }
///
///     fn clone_request(&mut self, request: &Req) -> Option<Req> {
///         Some(request.clone())
///     }
/// }
///
/// let policy = Attempts {
///     left: 2,
///     backoff: ExponentialBackoffMaker::default().make_backoff(),
///     budget: Arc::new(TpsBudget::default()),
/// };
/// let attempts = &std::cell::Cell::new(0);
/// let service = service_fn(move |n: u32| {
///     attempts.set(attempts.get() + 1);
///     std::future::ready(if attempts.get() < 3 { Err("try again") } else { Ok(n + 1) })
/// });
/// assert_eq!(Retry::new(policy, service).oneshot(1).await, Ok(2));
/// # }
/// ```
pub trait Policy<Req, Res, E> {
    /// Completes when the next attempt may begin.
    type Future: Future<Output = ()>;

    /// Decides whether to retry after `result`.
    ///
    /// If this returns `None`, the result, which the policy may have changed, is returned to the caller. Otherwise `req`, which the
    /// policy may have changed as well, is sent when the future completes.
    ///
    /// Not called if the request was not cloned.
    fn retry(&mut self, req: &mut Req, result: &mut Result<Res, E>) -> Option<Self::Future>;

    /// Clones the request for a further attempt. Called before each attempt; if this returns `None`, that attempt is the last.
    fn clone_request(&mut self, req: &Req) -> Option<Req>;

    /// Returns the policy of one request: by default, a clone of `policy`, which is that of the service. A policy whose clones share
    /// a reference count can give each service its own count here.
    ///
    /// An associated function for the same reason as [`poll_give_up`](Self::poll_give_up).
    fn for_request(policy: &mut Self) -> Self
    where
        Self: Sized + Clone,
    {
        policy.clone()
    }

    /// Polls whether to give up the current attempt: if this is ready, the attempt is dropped and fails with the error. Called
    /// whenever an attempt is pending, or a further one waits for readiness. By default never ready.
    ///
    /// An associated function and not a method, since tower 0.5.3 does not have it: calls of a method with the same name of another
    /// trait stay unambiguous.
    fn poll_give_up(policy: &mut Self, cx: &mut Context<'_>) -> Poll<E>
    where
        Self: Sized,
    {
        let _ = (policy, cx);
        Poll::Pending
    }
}

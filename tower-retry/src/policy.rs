use std::future::Future;
use std::task::{Context, Poll};

/// Says which requests are sent again.
///
/// [`RetryPolicy`](crate::RetryPolicy) is one that suits most services. Write your own, for instance in this way, if it does
/// not suit yours:
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
/// /// Tries again after any error, while there are attempts left and the budget allows it.
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
    /// Finishes when the next attempt may begin.
    type Future: Future<Output = ()>;

    /// Whether to try again after `result`, and when.
    ///
    /// `None` returns the result to the caller; the policy may have changed it. Otherwise `req`, which may be changed as
    /// well, is sent when the future has finished.
    ///
    /// Not called if the request could not be cloned.
    fn retry(&mut self, req: &mut Req, result: &mut Result<Res, E>) -> Option<Self::Future>;

    /// A copy of the request for a further attempt, made before each attempt. With `None` the attempt is the last.
    fn clone_request(&mut self, req: &Req) -> Option<Req>;

    /// The policy of one request, of the policy of the service that it is sent through: a clone. A policy whose clones count a
    /// reference in common can keep those of different services apart here.
    ///
    /// Not a method, for the same reason as [`poll_give_up`](Self::poll_give_up).
    fn for_request(policy: &mut Self) -> Self
    where
        Self: Sized + Clone,
    {
        policy.clone()
    }

    /// Polled whenever an attempt is pending, or a further one waits for readiness, so that the policy can give it up: the attempt
    /// is dropped, and fails with the error. Never by default.
    ///
    /// Not a method, since tower 0.5.3 does not have it: a method of the same name of your own trait stays unambiguous.
    fn poll_give_up(policy: &mut Self, cx: &mut Context<'_>) -> Poll<E>
    where
        Self: Sized,
    {
        let _ = (policy, cx);
        Poll::Pending
    }
}

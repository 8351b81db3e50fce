//! What distinguishes one wrapper from another.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::thread::panicking;
use std::time::Duration;

use tokio::time::Instant;
use tower_classify::{Class, FailureKind};

use super::gate::Pass;
use super::health::Seat;
use super::task::Task;
use super::{Health, Standing, withdrawn};

/// Decides whether endpoints are healthy. Sealed.
#[allow(unreachable_pub, unnameable_types, reason = "sealed")]
pub trait Rule: Sized {
    /// Identifies an endpoint.
    type Key: Hash + Eq + Clone + fmt::Debug;

    /// The state of one endpoint.
    type State;

    /// The state of a request in flight.
    type Attempt;

    fn health(&self) -> &Health<Self::Key>;

    fn task(&self) -> &Task;

    /// Returns the state of a new endpoint, and its standing.
    fn fresh(&self) -> (Self::State, Standing);

    fn entered(&self, _: &Arc<Endpoint<Self>>) {}

    fn left(&self, _: &Arc<Endpoint<Self>>) {}

    /// When to run next. A rule that makes this earlier must wake the task.
    fn next_due(&self) -> Option<Instant> {
        None
    }

    /// Runs what is due at `now`.
    fn run(&self, _now: Instant) {}

    /// How long a request must have waited to count as a failure when it is cancelled; `None` if it never does.
    fn cancelled_after(&self) -> Option<Duration> {
        None
    }

    fn begin(&self, endpoint: &Arc<Endpoint<Self>>) -> Self::Attempt;

    /// Called once for each attempt.
    fn end(&self, endpoint: &Arc<Endpoint<Self>>, attempt: Self::Attempt, class: Class);
}

/// An endpoint of one wrapper.
#[allow(unreachable_pub, unnameable_types, reason = "sealed")]
pub struct Endpoint<R: Rule> {
    pub(super) seat: Seat<R::Key>,
    pub(super) state: R::State,
    pub(super) rule: Arc<R>,
}

/// Held by the services of an endpoint. When the last of them is dropped, the rule forgets the endpoint.
pub(super) struct Live<R: Rule>(pub(super) Arc<Endpoint<R>>);

/// A reference to an endpoint, one for each of its services. Requests clone this reference instead of that to the
/// endpoint, so that the requests of several services do not contend for one reference count. Aligned to its own cache
/// lines.
#[repr(align(128))]
pub(super) struct Account<R: Rule, C> {
    endpoint: Arc<Endpoint<R>>,
    /// Classifies the results of the requests.
    pub(super) classify: C,
}

/// A request in flight to an endpoint. It was cancelled if this is dropped without a call of [`end`](Self::end).
pub(super) struct Running<R: Rule, C> {
    account: Arc<Account<R, C>>,
    attempt: Option<R::Attempt>,
    /// When its cancellation begins to count as a failure.
    overdue: Option<Instant>,
}

/// Compares endpoints by identity: an endpoint that was removed differs from a later one with the same key.
pub(super) struct Same<R: Rule>(pub(super) Arc<Endpoint<R>>);

impl<R: Rule> Endpoint<R> {
    pub(super) fn enter(rule: &Arc<R>, key: R::Key) -> Arc<Self> {
        let (state, standing) = rule.fresh();
        let endpoint = Arc::new(Self {
            seat: rule.health().join(key, standing, Instant::now()),
            state,
            rule: Arc::clone(rule),
        });
        rule.task().entered();
        rule.entered(&endpoint);
        endpoint
    }

    /// Called when the last service is dropped. Requests may still be in flight.
    pub(super) fn leave(self: &Arc<Self>) {
        self.rule.left(self);
        self.seat.leave();
        self.rule.task().left();
    }
}

impl<R: Rule, C> Account<R, C> {
    pub(super) fn begin(self: &Arc<Self>) -> Running<R, C> {
        let endpoint = &self.endpoint;
        let after = endpoint.rule.cancelled_after();
        Running {
            attempt: Some(endpoint.rule.begin(endpoint)),
            account: Arc::clone(self),
            overdue: after.and_then(|after| Instant::now().checked_add(after)),
        }
    }
}

impl<R: Rule> Live<R> {
    pub(super) fn pass(&self) -> Pass {
        self.0.seat.pass()
    }

    /// Creates the reference of one service.
    pub(super) fn account<C>(&self, classify: C) -> Arc<Account<R, C>> {
        Arc::new(Account {
            endpoint: Arc::clone(&self.0),
            classify,
        })
    }
}

impl<R: Rule> Drop for Live<R> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl<R: Rule, C> Running<R, C> {
    pub(super) fn classify(&self) -> &C {
        &self.account.classify
    }

    /// Ends the request. A rejection of excess load does not count, because the endpoint works.
    pub(super) fn end(mut self, class: Class) {
        self.end_with(match class {
            Class::Failure(failure) if failure.kind() == FailureKind::Overloaded => Class::Ignored,
            class => class,
        });
    }

    fn end_with(&mut self, class: Class) {
        if let Some(attempt) = self.attempt.take() {
            let endpoint = &self.account.endpoint;
            endpoint.rule.end(endpoint, attempt, class);
        }
    }
}

impl<R: Rule, C> Drop for Running<R, C> {
    fn drop(&mut self) {
        if self.attempt.is_none() {
            return;
        }
        let is_overdue = |overdue| !withdrawn::is() && !panicking() && Instant::now() >= overdue;
        self.end_with(match self.overdue {
            Some(overdue) if is_overdue(overdue) => Class::failure(FailureKind::Timeout),
            _ => Class::Ignored,
        });
    }
}

impl<R: Rule> fmt::Debug for Endpoint<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.seat.key).finish()
    }
}

impl<R: Rule> Clone for Same<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R: Rule> PartialEq for Same<R> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<R: Rule> Eq for Same<R> {}

impl<R: Rule> Hash for Same<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

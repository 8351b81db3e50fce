//! What distinguishes one wrapper from another.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::thread::panicking;
use std::time::Duration;

use tokio::time::Instant;
use tower_classify::{Class, FailureKind};

use super::endpoint_status::StatusWaiter;
use super::health::Membership;
use super::task::Task;
use super::{Health, Standing, withdrawn};

/// Decides whether endpoints are healthy. Sealed.
#[allow(unreachable_pub, unnameable_types, reason = "sealed")]
pub trait Rule: Sized {
    /// The key of an endpoint in the discovery.
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
    pub(super) membership: Membership<R::Key>,
    pub(super) state: R::State,
    pub(super) rule: Arc<R>,
}

/// Held by the services of an endpoint. When the last of them is dropped, the rule forgets the endpoint.
pub(super) struct Registration<R: Rule>(pub(super) Arc<Endpoint<R>>);

/// A reference to an endpoint, one for each of its services. Requests clone this reference instead of that to the
/// endpoint, so that the requests of several services do not contend for one reference count. Aligned to its own cache
/// lines.
#[repr(align(128))]
pub(super) struct EndpointRef<R: Rule, C> {
    endpoint: Arc<Endpoint<R>>,
    /// Classifies the results of the requests.
    pub(super) classify: C,
}

/// A request in flight to an endpoint. It was cancelled if this is dropped without a call of [`end`](Self::end).
pub(super) struct InFlight<R: Rule, C> {
    endpoint_ref: Arc<EndpointRef<R, C>>,
    attempt: Option<R::Attempt>,
    /// When its cancellation begins to count as a failure.
    overdue: Option<Instant>,
}

/// Compares endpoints by identity: an endpoint that was removed differs from a later one with the same key.
pub(super) struct ByIdentity<R: Rule>(pub(super) Arc<Endpoint<R>>);

impl<R: Rule> Endpoint<R> {
    pub(super) fn enter(rule: &Arc<R>, key: R::Key) -> Arc<Self> {
        let (state, standing) = rule.fresh();
        let endpoint = Arc::new(Self {
            membership: rule.health().join(key, standing, Instant::now()),
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
        self.membership.leave();
        self.rule.task().left();
    }
}

impl<R: Rule, C> EndpointRef<R, C> {
    pub(super) fn begin(self: &Arc<Self>) -> InFlight<R, C> {
        let endpoint = &self.endpoint;
        let after = endpoint.rule.cancelled_after();
        InFlight {
            attempt: Some(endpoint.rule.begin(endpoint)),
            endpoint_ref: Arc::clone(self),
            overdue: after.and_then(|after| Instant::now().checked_add(after)),
        }
    }
}

impl<R: Rule> Registration<R> {
    pub(super) fn waiter(&self) -> StatusWaiter {
        self.0.membership.waiter()
    }

    /// Creates the reference of one service.
    pub(super) fn endpoint_ref<C>(&self, classify: C) -> Arc<EndpointRef<R, C>> {
        Arc::new(EndpointRef {
            endpoint: Arc::clone(&self.0),
            classify,
        })
    }
}

impl<R: Rule> Drop for Registration<R> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl<R: Rule, C> InFlight<R, C> {
    pub(super) fn classify(&self) -> &C {
        &self.endpoint_ref.classify
    }

    pub(super) fn end(mut self, class: Class) {
        self.end_with(class);
    }

    fn end_with(&mut self, class: Class) {
        if let Some(attempt) = self.attempt.take() {
            let endpoint = &self.endpoint_ref.endpoint;
            endpoint.rule.end(endpoint, attempt, class);
        }
    }
}

/// Returns what a result counts as: a rejection of excess load counts as nothing, because the endpoint works.
pub(super) fn charged(class: Class) -> Class {
    match class {
        Class::Failure(failure) if failure.kind() == FailureKind::Overloaded => Class::Ignored,
        class => class,
    }
}

impl<R: Rule, C> Drop for InFlight<R, C> {
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
        f.debug_tuple("Endpoint")
            .field(&self.membership.key)
            .finish()
    }
}

impl<R: Rule> Clone for ByIdentity<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R: Rule> PartialEq for ByIdentity<R> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<R: Rule> Eq for ByIdentity<R> {}

impl<R: Rule> Hash for ByIdentity<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

//! What the services of a limit share: the policy, and the permits that it has been given.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tower_classify::{Class, FailureKind};
use tower_readiness::{Observer, event, ignore_poison};

use super::MAX_LIMIT;
use super::patience::Patience;
use super::policy::Limit;
use crate::Event;
use crate::concurrency::ResizablePermits;

pub(super) struct Control<L> {
    pub(super) permits: ResizablePermits,
    state: Mutex<State<L>>,
}

struct State<L> {
    policy: L,
    patience: Patience,
    /// The number of permits: what the policy has last said, within [`MAX_LIMIT`].
    limit: usize,
    observer: Observer<Event>,
}

impl<L: Limit> Control<L> {
    pub(super) fn new(policy: L) -> Self {
        let limit = limit_of(&policy);
        let state = State {
            policy,
            patience: Patience::default(),
            limit,
            observer: Observer::none(),
        };
        Self {
            permits: ResizablePermits::new(limit),
            state: Mutex::new(state),
        }
    }

    /// Passes on to the policy a request that has ended, if that says something about the service.
    pub(super) fn ended(&self, began: Instant, class: Class) {
        if let Some(dropped) = is_drop(class) {
            let now = Instant::now();
            self.sample(now, now.saturating_duration_since(began), dropped);
        }
    }

    /// Passes on to the policy a request that was given up, if it had waited for too long.
    #[cold]
    pub(super) fn cancelled(&self, began: Instant) {
        let now = Instant::now();
        let waited = now.saturating_duration_since(began);
        if self.lock().patience.is_exceeded(waited) {
            self.sample(now, waited, true);
        }
    }

    fn sample(&self, now: Instant, latency: Duration, dropped: bool) {
        let mut state = self.lock();
        if !dropped {
            state.patience.record(latency);
        }
        let from = state.limit;
        let in_flight = self.permits.in_flight(from);
        state.policy.sample(now, latency, in_flight, dropped);
        let to = limit_of(&state.policy);
        if from != to {
            // With the lock, so that the permits are always those of `state.limit`.
            self.permits.resize(from, to);
            state.limit = to;
            let observer = state.observer.clone();
            drop(state);
            self.changed(from, to, &observer);
        }
    }

    /// Without the lock: wakers and observers may run any code.
    #[cold]
    fn changed(&self, from: usize, to: usize, observer: &Observer<Event>) {
        event!(
            DEBUG,
            from,
            to,
            "the limit of requests in flight has changed"
        );
        observer.notify(&Event::Changed { from, to });
        if to > from {
            self.permits.notify();
        }
    }
}

impl<L> Control<L> {
    pub(super) fn set_observer(&self, observer: Observer<Event>) {
        let outdated = std::mem::replace(&mut self.lock().observer, observer);
        drop(outdated);
    }

    pub(super) fn observer(&self) -> Observer<Event> {
        self.lock().observer.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<L>> {
        ignore_poison(self.state.lock())
    }
}

/// Returns what the policy says, as a number of permits.
fn limit_of(policy: &impl Limit) -> usize {
    policy.limit().clamp(1, MAX_LIMIT)
}

/// Returns whether a result means that the service is overloaded; `None` if it says nothing about that.
const fn is_drop(class: Class) -> Option<bool> {
    match class {
        Class::Success => Some(false),
        Class::Failure(failure) => match failure.kind() {
            FailureKind::Overloaded | FailureKind::Unavailable | FailureKind::Timeout => Some(true),
            // It may have failed earlier than a success would have taken.
            _ => None,
        },
        _ => None,
    }
}

/// Shows the limit, and how much of it is in use.
///
/// Handles can be cloned, and keep the limit in memory. Their methods take a short lock.
pub struct Handle<L> {
    control: Arc<Control<L>>,
}

impl<L> Handle<L> {
    pub(super) const fn new(control: Arc<Control<L>>) -> Self {
        Self { control }
    }

    /// Returns the limit.
    pub fn limit(&self) -> usize {
        self.control.lock().limit
    }

    /// Returns the number of requests in flight, and of handles that are ready for one. It exceeds a limit that has fallen, until
    /// the requests have ended.
    pub fn in_flight(&self) -> usize {
        let state = self.control.lock();
        self.control.permits.in_flight(state.limit)
    }
}

impl<L> Clone for Handle<L> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.control))
    }
}

impl<L> fmt::Debug for Handle<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("limit", &self.limit())
            .field("in_flight", &self.in_flight())
            .finish()
    }
}

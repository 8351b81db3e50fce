use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tower_classify::{Class, Pushback};
use tower_readiness::{Observer, event};
use tower_util::backoff::Schedule;
use tower_util::rng::SplitMix;

use super::event::{Attempt, GaveUp, Next};
use super::rules::{CloneRequest, RetryRules};
use super::timer::{AttemptTimer, NoTimeout};
use super::wait::Wait;
use crate::Policy;
use crate::budget::{Budget, FailureBudget};
use crate::sync::{AtomicU64, Ordering};

/// A [`Policy`] with a maximum number of attempts, a backoff, a budget, and rules that classify results and clone requests.
///
/// See the [crate's documentation](crate#example) for an example, and [`Builder`](crate::Builder) for all settings.
///
/// # Clone
///
/// Clones share the budget and all settings. Each request increments and decrements a reference count. From its second request
/// on, a service has its own count, so that its requests do not contend with those of its clones; that takes one allocation.
///
/// # Panics
///
/// Waiting for the next attempt, or for the timeout of one, needs a tokio runtime with timers: without one, polling the response
/// future panics.
///
/// # Cost
///
/// For a request that is not retried: incrementing and decrementing a reference count, the clone of the request, and the budget's
/// deposit. Nothing is allocated but by the request's own `clone`.
pub struct RetryPolicy<R = CloneRequest, T = NoTimeout> {
    settings: SettingsRef<R>,
    /// The number of requests that have been [sent](Policy::for_request) with this policy, up to [`OWN_COUNT_AT`].
    requests: u8,
    timer: T,
    /// The number of failed attempts.
    failed: u32,
    /// The last wait.
    last: Duration,
    /// Created for the first wait that has jitter.
    rng: Option<SplitMix>,
}

/// A reference to the settings whose count is that of one service: each of its requests increments and decrements it. The count
/// is alone in its cache lines.
struct SettingsRef<R>(Arc<OwnCount<R>>);

#[repr(align(128))]
struct OwnCount<R>(Arc<Settings<R>>);

/// What all clones share.
pub(super) struct Settings<R> {
    pub(super) attempts: u32,
    pub(super) schedule: Schedule,
    pub(super) budget: Arc<dyn Budget + Send + Sync>,
    /// The same budget, if it counts failures.
    pub(super) failures: Option<Arc<dyn FailureBudget + Send + Sync>>,
    pub(super) rules: R,
    pub(super) observer: Observer<Attempt>,
    pub(super) seed: u64,
    /// The number of requests that needed random numbers, each of which has its own sequence.
    pub(super) sequences: AtomicU64,
}

impl<R, T> RetryPolicy<R, T> {
    pub(super) fn new(settings: Settings<R>, timer: T) -> Self {
        Self {
            settings: SettingsRef::new(Arc::new(settings)),
            requests: 0,
            timer,
            failed: 0,
            last: Duration::ZERO,
            rng: None,
        }
    }

    /// Returns the budget, for instance to share it with another policy.
    pub fn budget(&self) -> &Arc<dyn Budget + Send + Sync> {
        &self.settings.budget
    }

    /// Returns the rules for the requests.
    pub fn rules(&self) -> &R {
        &self.settings.rules
    }

    /// Returns whether there may be more than one attempt.
    #[cfg(feature = "http")]
    pub(crate) fn retries(&self) -> bool {
        self.settings.attempts > 1
    }

    #[inline]
    fn notify(&self, next: Next) {
        self.settings.notify(self.failed + 1, next);
    }

    fn give_up(&self, why: GaveUp) {
        event!(
            DEBUG,
            attempt = self.failed + 1,
            ?why,
            "giving up a request"
        );
        if let Some(failures) = &self.settings.failures
            && why != GaveUp::Budget
        {
            failures.fail();
        }
        self.notify(Next::GaveUp(why));
    }

    /// Returns how long to wait for the next attempt and when it begins, or why there is none. Withdraws from the budget.
    #[cold]
    fn next(
        &mut self,
        class: Class,
        sendable: bool,
        deadline: Option<Instant>,
        now: Instant,
    ) -> Result<(Duration, Instant), GaveUp> {
        let pushback = match class {
            Class::Failure(failure) => failure.pushback(),
            _ => None,
        };
        if pushback == Some(Pushback::Never) {
            return Err(GaveUp::Refused);
        }
        if self.failed + 1 >= self.settings.attempts {
            return Err(GaveUp::Attempts);
        }
        if !sendable {
            return Err(GaveUp::Body);
        }
        let first_unsent = class == Class::Unsent && self.failed == 0;
        let wait = match pushback {
            Some(Pushback::After(wait)) => wait,
            _ if first_unsent => Duration::ZERO,
            _ => {
                let settings = &self.settings;
                let rng = self.rng.get_or_insert_with(|| {
                    let sequence = settings.sequences.fetch_add(1, Ordering::Relaxed);
                    SplitMix::with_seed(settings.seed ^ sequence.wrapping_mul(ODD))
                });
                let wait = settings.schedule.wait(self.failed, self.last, rng);
                wait.ok_or(GaveUp::Attempts)?
            }
        };
        let begin = now.checked_add(wait).ok_or(GaveUp::Refused)?;
        if deadline.is_some_and(|deadline| begin >= deadline) {
            return Err(GaveUp::Deadline);
        }
        if !first_unsent && !self.settings.budget.withdraw() {
            return Err(GaveUp::Budget);
        }
        Ok((wait, begin))
    }
}

impl<R, T> RetryPolicy<R, T> {
    /// Counts a request. With the second, allocates the own reference count: a clone that is made for one request needs none.
    #[cold]
    fn count_request(&mut self) {
        self.requests += 1;
        if self.requests == OWN_COUNT_AT {
            self.settings = SettingsRef::new(Arc::clone(&self.settings.0.0));
        }
    }

    #[cold]
    fn retry_failed<Req, Res, E>(&mut self, req: &mut Req, class: Class) -> Option<Wait>
    where
        R: RetryRules<Req, Res, E>,
        T: AttemptTimer<E>,
    {
        let settings = Arc::clone(&self.settings.0.0);
        let now = Instant::now();
        let (sendable, deadline) = (
            settings.rules.is_sendable(req),
            settings.rules.deadline(req),
        );
        let next = self.next(class, sendable, deadline, now);
        let next = next.and_then(|next| match settings.rules.prepare(req) {
            true => Ok(next),
            false => Err(GaveUp::Body),
        });
        match next {
            Ok((wait, begin)) => {
                event!(
                    DEBUG,
                    attempt = self.failed + 1,
                    ?wait,
                    "retrying a request after a wait"
                );
                self.notify(Next::RetryAfter(wait));
                self.failed += 1;
                self.last = wait;
                self.timer.reset();
                Some(Wait::until(begin, now))
            }
            Err(why) => {
                self.give_up(why);
                None
            }
        }
    }
}

impl<R, T, Req, Res, E> Policy<Req, Res, E> for RetryPolicy<R, T>
where
    R: RetryRules<Req, Res, E>,
    T: AttemptTimer<E>,
{
    type Future = Wait;

    #[inline]
    fn retry(&mut self, req: &mut Req, result: &mut Result<Res, E>) -> Option<Wait> {
        let settings = &*self.settings;
        match settings.rules.classify(req, result.as_ref()) {
            Class::Success => {
                settings.budget.deposit();
                settings.notify(self.failed + 1, Next::Success);
                None
            }
            class @ Class::Unsent => self.retry_failed(req, class),
            class @ Class::Failure(failure) if failure.is_transient() => {
                self.retry_failed(req, class)
            }
            _ => {
                settings.notify(self.failed + 1, Next::Failure);
                None
            }
        }
    }

    /// The request is cloned for the last attempt as well: `retry` is only called if it was, and must see the last result.
    #[inline]
    fn clone_request(&mut self, req: &Req) -> Option<Req> {
        if self.settings.attempts == 1 {
            return None;
        }
        self.settings.rules.clone_request(req)
    }

    #[inline]
    fn for_request(policy: &mut Self) -> Self
    where
        Self: Clone,
    {
        if policy.requests != OWN_COUNT_AT {
            policy.count_request();
        }
        policy.clone()
    }

    #[inline]
    fn poll_give_up(policy: &mut Self, cx: &mut Context<'_>) -> Poll<E> {
        policy.timer.poll(cx)
    }
}

impl<R> Settings<R> {
    #[inline]
    fn notify(&self, number: u32, next: Next) {
        self.observer.notify(&Attempt { number, next });
    }
}

impl<R> SettingsRef<R> {
    fn new(settings: Arc<Settings<R>>) -> Self {
        Self(Arc::new(OwnCount(settings)))
    }
}

impl<R> Deref for SettingsRef<R> {
    type Target = Settings<R>;

    #[inline]
    fn deref(&self) -> &Settings<R> {
        &self.0.0
    }
}

impl<R, T: Clone> Clone for RetryPolicy<R, T> {
    #[inline]
    fn clone(&self) -> Self {
        Self {
            settings: SettingsRef(Arc::clone(&self.settings.0)),
            requests: 0,
            timer: self.timer.clone(),
            failed: self.failed,
            last: self.last,
            rng: self.rng.clone(),
        }
    }
}

impl<R: fmt::Debug, T: fmt::Debug> fmt::Debug for RetryPolicy<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("attempts", &self.settings.attempts)
            .field("schedule", &self.settings.schedule)
            .field("rules", &self.settings.rules)
            .field("timer", &self.timer)
            .finish_non_exhaustive()
    }
}

const OWN_COUNT_AT: u8 = 2;
/// Makes the seeds of consecutive sequences differ in many bits.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

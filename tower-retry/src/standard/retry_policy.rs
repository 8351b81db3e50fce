use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tower_classify::{Class, Pushback};
use tower_readiness::event;
use tower_util::backoff::Schedule;
use tower_util::rng::SplitMix;

use super::builder::Builder;
use super::event::{Attempt, GaveUp, Next};
use super::rules::{CloneRequest, RetryRules};
use super::timer::{AttemptTimer, NoTimeout};
use super::wait::Wait;
use crate::Policy;
use crate::budget::{Budget, FailureBudget};
use crate::sync::{AtomicU64, Ordering};

/// A [`Policy`] with all that a retry needs: a number of attempts, a backoff, a budget, and rules for the requests.
///
/// See the [crate's documentation](crate#example) for an example, and [`Builder`] for all that can be set.
///
/// # Clone
///
/// Clones share the budget, and all else. Each request counts a reference to it. From its second request on, a service has a
/// count of its own for that, so that its requests do not contend with those of its clones; it allocates once for it.
///
/// # Panics
///
/// Waiting for the next attempt, and for a timeout of one, takes a tokio runtime with timers: outside of one, polling the response
/// panics then.
///
/// # Cost
///
/// Of a request that is not sent again: a reference count up and down, the copy of the request, and what the budget takes
/// for a deposit. Nothing is allocated, but by the request's own `clone`.
pub struct RetryPolicy<R = CloneRequest, T = NoTimeout> {
    shared: Lent<R>,
    /// How many requests have been [sent](Policy::for_request) through this one, up to [`SETTLED`].
    used: u8,
    timer: T,
    /// How many attempts have failed.
    failed: u32,
    /// The last wait.
    last: Duration,
    /// Of the first retry on.
    rng: Option<SplitMix>,
}

/// A reference that is lent to requests, each of which counts it up and down. Alone in its cache lines.
struct Lent<R>(Arc<Lender<R>>);

#[repr(align(128))]
struct Lender<R>(Arc<Shared<R>>);

/// What clones read.
pub(super) struct Shared<R> {
    pub(super) attempts: u32,
    pub(super) schedule: Schedule,
    pub(super) budget: Arc<dyn Budget + Send + Sync>,
    /// The same one, if it goes by failures.
    pub(super) failures: Option<Arc<dyn FailureBudget + Send + Sync>>,
    pub(super) rules: R,
    pub(super) observer: Option<Observer>,
    pub(super) seed: u64,
    /// How many requests were sent again: each has random numbers of its own.
    pub(super) sequences: AtomicU64,
}

pub(super) type Observer = Box<dyn Fn(&Attempt) + Send + Sync>;

impl RetryPolicy {
    /// Returns a builder with the defaults: three attempts, a backoff from 25 ms to 250 ms with full jitter, a budget of 20 %
    /// and ten per second; requests are `Clone`, and sent again after every error.
    pub fn builder() -> Builder {
        Builder::new(CloneRequest::default())
    }
}

impl<R, T> RetryPolicy<R, T> {
    pub(super) fn new(shared: Shared<R>, timer: T) -> Self {
        Self {
            shared: Lent::new(Arc::new(shared)),
            used: 0,
            timer,
            failed: 0,
            last: Duration::ZERO,
            rng: None,
        }
    }

    /// The budget, to look at it or to share it.
    pub fn budget(&self) -> &Arc<dyn Budget + Send + Sync> {
        &self.shared.budget
    }

    /// Returns the rules for the requests.
    pub fn rules(&self) -> &R {
        &self.shared.rules
    }

    /// Whether there may be more than one attempt.
    #[cfg(feature = "http")]
    pub(crate) fn retries(&self) -> bool {
        self.shared.attempts > 1
    }

    #[inline]
    fn tell(&self, next: Next) {
        self.shared.tell(self.failed + 1, next);
    }

    fn give_up(&self, why: GaveUp) {
        event!(
            DEBUG,
            attempt = self.failed + 1,
            ?why,
            "a request is not sent again"
        );
        if let Some(failures) = &self.shared.failures
            && why != GaveUp::Budget
        {
            failures.fail();
        }
        self.tell(Next::GaveUp(why));
    }

    /// When the next attempt begins.
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
        if self.failed + 1 >= self.shared.attempts {
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
                let shared = &self.shared;
                let rng = self.rng.get_or_insert_with(|| {
                    let sequence = shared.sequences.fetch_add(1, Ordering::Relaxed);
                    SplitMix::with_seed(shared.seed ^ sequence.wrapping_mul(ODD))
                });
                let wait = shared.schedule.wait(self.failed, self.last, rng);
                wait.ok_or(GaveUp::Attempts)?
            }
        };
        let begin = now.checked_add(wait).ok_or(GaveUp::Refused)?;
        if deadline.is_some_and(|deadline| begin >= deadline) {
            return Err(GaveUp::Deadline);
        }
        if !first_unsent && !self.shared.budget.withdraw() {
            return Err(GaveUp::Budget);
        }
        Ok((wait, begin))
    }
}

impl<R, T> RetryPolicy<R, T> {
    /// Lends references of its own from the second request on: a clone that is made for one request does not allocate.
    #[cold]
    fn settle(&mut self) {
        self.used += 1;
        if self.used == SETTLED {
            self.shared = Lent::new(Arc::clone(&self.shared.0.0));
        }
    }

    #[cold]
    fn retry_failed<Req, Res, E>(&mut self, req: &mut Req, class: Class) -> Option<Wait>
    where
        R: RetryRules<Req, Res, E>,
        T: AttemptTimer<E>,
    {
        let shared = Arc::clone(&self.shared.0.0);
        let now = Instant::now();
        let (sendable, deadline) = (shared.rules.is_sendable(req), shared.rules.deadline(req));
        let next = self.next(class, sendable, deadline, now);
        let next = next.and_then(|next| match shared.rules.prepare(req) {
            true => Ok(next),
            false => Err(GaveUp::Body),
        });
        match next {
            Ok((wait, begin)) => {
                event!(
                    DEBUG,
                    attempt = self.failed + 1,
                    ?wait,
                    "a request is sent again"
                );
                self.tell(Next::RetryAfter(wait));
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
        let shared = &*self.shared;
        match shared.rules.classify(req, result.as_ref()) {
            Class::Success => {
                shared.budget.deposit();
                shared.tell(self.failed + 1, Next::Success);
                None
            }
            class @ Class::Unsent => self.retry_failed(req, class),
            class @ Class::Failure(failure) if failure.is_transient() => {
                self.retry_failed(req, class)
            }
            _ => {
                shared.tell(self.failed + 1, Next::Failure);
                None
            }
        }
    }

    /// The last attempt has a copy as well: it is how one learns what becomes of it.
    #[inline]
    fn clone_request(&mut self, req: &Req) -> Option<Req> {
        if self.shared.attempts == 1 {
            return None;
        }
        self.shared.rules.clone_request(req)
    }

    #[inline]
    fn for_request(policy: &mut Self) -> Self
    where
        Self: Clone,
    {
        if policy.used != SETTLED {
            policy.settle();
        }
        policy.clone()
    }

    #[inline]
    fn poll_give_up(policy: &mut Self, cx: &mut Context<'_>) -> Poll<E> {
        policy.timer.poll(cx)
    }
}

impl<R> Shared<R> {
    #[inline]
    fn tell(&self, number: u32, next: Next) {
        if let Some(observer) = &self.observer {
            observer(&Attempt { number, next });
        }
    }
}

impl<R> Lent<R> {
    fn new(shared: Arc<Shared<R>>) -> Self {
        Self(Arc::new(Lender(shared)))
    }
}

impl<R> Deref for Lent<R> {
    type Target = Shared<R>;

    #[inline]
    fn deref(&self) -> &Shared<R> {
        &self.0.0
    }
}

impl<R, T: Clone> Clone for RetryPolicy<R, T> {
    #[inline]
    fn clone(&self) -> Self {
        Self {
            shared: Lent(Arc::clone(&self.shared.0)),
            used: 0,
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
            .field("attempts", &self.shared.attempts)
            .field("schedule", &self.shared.schedule)
            .field("rules", &self.shared.rules)
            .field("timer", &self.timer)
            .finish_non_exhaustive()
    }
}

const SETTLED: u8 = 2;
/// Sets the seeds apart.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

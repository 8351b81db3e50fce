use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_util::backoff::Schedule;
use tower_util::rng::{Rng, SplitMix};

use super::classify::{EveryError, RetryIf, Verdict};
use super::event::Attempt;
use super::retry_policy::{Observer, RetryPolicy, Shared};
use super::timer::{NoTimeout, PerAttempt};
use crate::budget::{Budget, FailureBudget, TpsBudget};
use crate::sync::AtomicU64;

/// A [`RetryPolicy`] to be filled in.
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::sync::Arc;
/// use std::time::Duration;
/// use tower_retry::backoff::{Jitter, Schedule};
/// use tower_retry::budget::TpsBudget;
/// use tower_retry::{Retry, RetryPolicy};
/// use tower_util::{BoxError, ServiceExt, service_fn};
///
/// let (first, longest) = (Duration::from_millis(10), Duration::from_secs(1));
/// let policy = RetryPolicy::builder()
///     .attempts(4)
///     .backoff(Schedule::exponential(first, longest).with_jitter(Jitter::Equal))
///     .budget(Arc::new(TpsBudget::new(Duration::from_secs(10), 1, 0.1)))
///     .attempt_timeout(Duration::from_millis(100))
///     // A number out of the hundreds is a failure here, and worth another attempt.
///     .retry_if(|_request: &u32, result: Result<&u32, &BoxError>| match result {
///         Ok(response) => *response >= 100,
///         Err(_) => true,
///     })
///     .on_attempt(|attempt| println!("{attempt:?}"))
///     .build();
///
/// // One attempt that fails, one that takes too long, one with a bad answer, and one that succeeds.
/// let attempts = std::cell::Cell::new(0);
/// let service = service_fn(|n: u32| {
///     let attempt = attempts.replace(attempts.get() + 1);
///     async move {
///         match attempt {
///             0 => Err(BoxError::from("down")),
///             1 => std::future::pending().await,
///             2 => Ok(500),
///             _ => Ok(n),
///         }
///     }
/// });
/// assert_eq!(Retry::new(policy, service).oneshot(7).await.unwrap(), 7);
/// # }
/// ```
pub struct Builder<C = EveryError, T = NoTimeout> {
    attempts: u32,
    schedule: Schedule,
    budget: Option<Arc<dyn Budget + Send + Sync>>,
    failures: Option<Arc<dyn FailureBudget + Send + Sync>>,
    classify: C,
    timer: T,
    observer: Option<Observer>,
    seed: Option<u64>,
}

impl<C> Builder<C> {
    pub(crate) fn new(classify: C) -> Self {
        Self {
            attempts: 3,
            schedule: Schedule::default(),
            budget: None,
            failures: None,
            classify,
            timer: NoTimeout,
            observer: None,
            seed: None,
        }
    }
}

impl<C, T> Builder<C, T> {
    /// At most so many attempts, the first one included. By default 3. With 0, as with 1, nothing is sent again.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// How long to wait between attempts. By default from 25 ms to 250 ms, with full jitter.
    #[must_use]
    pub fn backoff(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// What bounds the retries of all requests together. By default a [`TpsBudget`] of its own, of 20 % and ten per second.
    #[must_use]
    pub fn budget(mut self, budget: Arc<dyn Budget + Send + Sync>) -> Self {
        self.budget = Some(budget);
        self.failures = None;
        self
    }

    /// Like [`budget`](Self::budget), for one that is also told of the failures for which no retry is asked, such as a
    /// [`Throttle`](crate::budget::Throttle).
    #[must_use]
    pub fn throttle(mut self, budget: Arc<dyn FailureBudget + Send + Sync>) -> Self {
        self.budget = Some(Arc::clone(&budget) as Arc<_>);
        self.failures = Some(budget);
        self
    }

    /// How long each attempt may take; one that takes longer is dropped, and fails with
    /// [`Elapsed`](tower_timeout::error::Elapsed). By default as long as it likes.
    ///
    /// The error type of the service must be one that can be made of `Elapsed`, such as `BoxError`.
    #[must_use]
    pub fn attempt_timeout(self, timeout: impl Into<Option<Duration>>) -> Builder<C, PerAttempt> {
        let timer = PerAttempt::new(timeout.into());
        self.with(|classify, _| (classify, timer))
    }

    /// Called with each attempt that has ended, from within the response future: it should be quick. Not called for requests
    /// that cannot be sent again anyway.
    #[must_use]
    pub fn on_attempt(mut self, observer: impl Fn(&Attempt) + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Makes the jitter repeatable: that of the n-th request which is sent again is the same with the same seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// What judges the results, and copies the requests. By default [`EveryError`].
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> Builder<C2, T> {
        self.with(|_, timer| (classify, timer))
    }

    /// Tries again if `judge` says `true`, or a [`Verdict`] that means it. A response for which it says `false` is a success.
    #[must_use]
    pub fn retry_if<F, V, Req, Res, E>(self, judge: F) -> Builder<RetryIf<F, Req, Res, E>, T>
    where
        F: Fn(&Req, Result<&Res, &E>) -> V,
        V: Into<Verdict>,
    {
        self.classify(RetryIf::new(judge))
    }

    /// The policy.
    pub fn build(self) -> RetryPolicy<C, T> {
        let shared = Shared {
            attempts: self.attempts,
            schedule: self.schedule,
            budget: self
                .budget
                .unwrap_or_else(|| Arc::new(TpsBudget::default())),
            failures: self.failures,
            classify: self.classify,
            observer: self.observer,
            seed: self.seed.unwrap_or_else(|| SplitMix::new().next_u64()),
            sequences: AtomicU64::new(0),
        };
        RetryPolicy::new(shared, self.timer)
    }

    /// Changes the types.
    pub(crate) fn with<C2, T2>(self, f: impl FnOnce(C, T) -> (C2, T2)) -> Builder<C2, T2> {
        let (classify, timer) = f(self.classify, self.timer);
        Builder {
            attempts: self.attempts,
            schedule: self.schedule,
            budget: self.budget,
            failures: self.failures,
            classify,
            timer,
            observer: self.observer,
            seed: self.seed,
        }
    }
}

impl<C: fmt::Debug, T: fmt::Debug> fmt::Debug for Builder<C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("attempts", &self.attempts)
            .field("schedule", &self.schedule)
            .field("classify", &self.classify)
            .field("timer", &self.timer)
            .finish_non_exhaustive()
    }
}

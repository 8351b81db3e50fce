use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_util::backoff::Schedule;
use tower_util::rng::{Rng, SplitMix};

use super::event::Attempt;
use super::retry_policy::{Observer, RetryPolicy, Shared};
use super::rules::{CloneRequest, RetryIf};
use super::timer::{NoTimeout, PerAttempt};
use crate::budget::{Budget, FailureBudget, TpsBudget};
use crate::sync::AtomicU64;

/// A builder for [`RetryPolicy`].
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
pub struct Builder<R = CloneRequest, T = NoTimeout> {
    attempts: u32,
    schedule: Schedule,
    budget: Option<Arc<dyn Budget + Send + Sync>>,
    failures: Option<Arc<dyn FailureBudget + Send + Sync>>,
    rules: R,
    timer: T,
    observer: Option<Observer>,
    seed: Option<u64>,
}

impl<R> Builder<R> {
    pub(crate) fn new(rules: R) -> Self {
        Self {
            attempts: 3,
            schedule: Schedule::default(),
            budget: None,
            failures: None,
            rules,
            timer: NoTimeout,
            observer: None,
            seed: None,
        }
    }
}

impl<R, T> Builder<R, T> {
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
    pub fn attempt_timeout(self, timeout: impl Into<Option<Duration>>) -> Builder<R, PerAttempt> {
        let timer = PerAttempt::new(timeout.into());
        self.with(|rules, _| (rules, timer))
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

    /// Sets what the results of requests mean, for requests that are `Clone`. By default every error is transient
    /// ([`ErrorIsFailure`](tower_classify::ErrorIsFailure)).
    ///
    /// Requests are sent again after [`Class::Unsent`](tower_classify::Class::Unsent), the first time immediately and without
    /// drawing on the budget; and after a failure that is
    /// [transient](tower_classify::Failure::is_transient), exactly at the time of its
    /// [pushback](tower_classify::Failure::pushback) if it has one, otherwise after the backoff.
    #[must_use]
    pub fn classify<C>(self, classify: C) -> Builder<CloneRequest<C>, T> {
        self.rules(CloneRequest::new(classify))
    }

    /// Sends a request again if `retries` returns `true`. A response for which it returns `false` is a success.
    #[must_use]
    pub fn retry_if<F, Req, Res, E>(self, retries: F) -> Builder<RetryIf<F, Req, Res, E>, T>
    where
        F: Fn(&Req, Result<&Res, &E>) -> bool,
    {
        self.rules(RetryIf::new(retries))
    }

    /// Sets both what results mean and how requests are copied: [`RetryRules`](crate::RetryRules) of your own.
    #[must_use]
    pub fn rules<R2>(self, rules: R2) -> Builder<R2, T> {
        self.with(|_, timer| (rules, timer))
    }

    /// Builds the policy.
    pub fn build(self) -> RetryPolicy<R, T> {
        let shared = Shared {
            attempts: self.attempts,
            schedule: self.schedule,
            budget: self
                .budget
                .unwrap_or_else(|| Arc::new(TpsBudget::default())),
            failures: self.failures,
            rules: self.rules,
            observer: self.observer,
            seed: self.seed.unwrap_or_else(|| SplitMix::new().next_u64()),
            sequences: AtomicU64::new(0),
        };
        RetryPolicy::new(shared, self.timer)
    }

    /// Changes the types.
    pub(crate) fn with<R2, T2>(self, f: impl FnOnce(R, T) -> (R2, T2)) -> Builder<R2, T2> {
        let (rules, timer) = f(self.rules, self.timer);
        Builder {
            attempts: self.attempts,
            schedule: self.schedule,
            budget: self.budget,
            failures: self.failures,
            rules,
            timer,
            observer: self.observer,
            seed: self.seed,
        }
    }
}

impl<R: fmt::Debug, T: fmt::Debug> fmt::Debug for Builder<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("attempts", &self.attempts)
            .field("schedule", &self.schedule)
            .field("rules", &self.rules)
            .field("timer", &self.timer)
            .finish_non_exhaustive()
    }
}

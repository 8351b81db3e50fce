use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_readiness::Observer;
use tower_util::backoff::Schedule;
use tower_util::rng::{Rng, SplitMix};

use super::event::Attempt;
use super::retry_policy::{RetryPolicy, Settings};
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
///     // Here, a response of 100 or more is a failure, which is retried.
///     .retry_if(|_request: &u32, result: Result<&u32, &BoxError>| match result {
///         Ok(response) => *response >= 100,
///         Err(_) => true,
///     })
///     .on_attempt(|attempt| println!("{attempt:?}"))
///     .build();
///
/// // One attempt that fails, one that times out, one with a bad response, and one that succeeds.
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
    observer: Observer<Attempt>,
    seed: Option<u64>,
}

impl RetryPolicy {
    /// Returns a builder with the defaults: three attempts, a backoff from 25 ms to 250 ms with full jitter, and a budget of 20 %
    /// plus ten per second. Requests must be `Clone`, and are retried after every error.
    pub fn builder() -> Builder {
        Builder::new(CloneRequest::default())
    }
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
            observer: Observer::none(),
            seed: None,
        }
    }
}

impl<R, T> Builder<R, T> {
    /// Sets the maximum number of attempts, including the first. The default is 3. With 0 or 1, requests are not retried.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// Sets the waits between attempts. The default is exponential, from 25 ms to 250 ms, with full jitter.
    #[must_use]
    pub fn backoff(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Sets the budget, which limits the retries of all requests together. The default is a new [`TpsBudget`] of 20 % plus ten per
    /// second.
    #[must_use]
    pub fn budget(mut self, budget: Arc<dyn Budget + Send + Sync>) -> Self {
        self.budget = Some(budget);
        self.failures = None;
        self
    }

    /// Sets the [`budget`](Self::budget) to one that also counts the failures that are not retried, such as a
    /// [`Throttle`](crate::budget::Throttle).
    #[must_use]
    pub fn throttle(mut self, budget: Arc<dyn FailureBudget + Send + Sync>) -> Self {
        self.budget = Some(Arc::clone(&budget) as Arc<_>);
        self.failures = Some(budget);
        self
    }

    /// Sets a timeout per attempt. An attempt that takes longer is dropped, and fails with
    /// [`Elapsed`](tower_timeout::error::Elapsed). By default there is no timeout.
    ///
    /// The service's error type must implement `From<Elapsed>`, as `BoxError` does.
    #[must_use]
    pub fn attempt_timeout(self, timeout: impl Into<Option<Duration>>) -> Builder<R, PerAttempt> {
        let timer = PerAttempt::new(timeout.into());
        self.with(|rules, _| (rules, timer))
    }

    /// Sets a function that is called after each attempt. It runs within the response future, so it must not block. It is not
    /// called for requests that cannot be retried.
    #[must_use]
    pub fn on_attempt(mut self, observer: impl Fn(&Attempt) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observer);
        self
    }

    /// Makes the jitter reproducible: with the same seed, the n-th request that is retried has the same jitter. By default the seed
    /// is random.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the classification of results, for requests that are `Clone`. By default every error is a transient failure
    /// ([`ErrorIsFailure`](tower_classify::ErrorIsFailure)).
    ///
    /// Requests are retried after [`Class::Unsent`](tower_classify::Class::Unsent), the first time immediately and without drawing
    /// on the budget; and after a [transient](tower_classify::Failure::is_transient) failure, exactly after the time of its
    /// [pushback](tower_classify::Failure::pushback) if it has one, otherwise after the backoff.
    #[must_use]
    pub fn classify<C>(self, classify: C) -> Builder<CloneRequest<C>, T> {
        self.rules(CloneRequest::new(classify))
    }

    /// Retries a request if `retries` returns `true`, for requests that are `Clone`. A response for which it returns `false` is a
    /// success.
    #[must_use]
    pub fn retry_if<F, Req, Res, E>(self, retries: F) -> Builder<RetryIf<F, Req, Res, E>, T>
    where
        F: Fn(&Req, Result<&Res, &E>) -> bool,
    {
        self.rules(RetryIf::new(retries))
    }

    /// Sets how results are classified and how requests are cloned, by an implementation of [`RetryRules`](crate::RetryRules).
    #[must_use]
    pub fn rules<R2>(self, rules: R2) -> Builder<R2, T> {
        self.with(|_, timer| (rules, timer))
    }

    /// Builds the policy. Its clones share one budget.
    pub fn build(self) -> RetryPolicy<R, T> {
        let settings = Settings {
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
        RetryPolicy::new(settings, self.timer)
    }

    /// Replaces the rules and the timer, which may change their types.
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

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tower_classify::ErrorIsFailure;
use tower_readiness::Observer;
use tower_retry::budget::Budget;

use crate::budget::ExtraLoad;
use crate::latencies::Slow;
use crate::policy::When;
use crate::state::{DelaySettings, Settings, SharedBudget};
use crate::{Event, HedgeLayer, InvalidHedge, KeepErrors, KeepResults};

/// A builder for [`HedgeLayer`].
///
/// Which requests may be hedged must be set, with [`when`](Self::when) or [`policy`](Self::policy); everything else has
/// a default.
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), tower_hedge::BoxError> {
/// use std::sync::Arc;
/// use std::time::Duration;
/// use tower_classify::{Class, FailureKind};
/// use tower_hedge::{BoxError, HedgeLayer};
/// use tower_layer::Layer;
/// use tower_retry::budget::TpsBudget;
/// use tower_util::{ServiceExt, service_fn};
///
/// // As in gRPC: up to three attempts, 50 ms apart, with the budget that retries use as well.
/// let layer = HedgeLayer::builder()
///     .when(|n: &u32| *n < 100)
///     .delay(Duration::from_millis(50))
///     .attempts(3)
///     .budget(Arc::new(TpsBudget::default()))
///     // A response of 0 loses: wait for the other attempts.
///     .classify(|result: Result<&u32, &BoxError>| match result {
///         Ok(1..) => Class::Success,
///         Ok(0) | Err(_) => Class::failure(FailureKind::Unavailable),
///     })
///     .on_event(|event| println!("{event:?}"))
///     .build()?;
///
/// // The first attempt takes an hour, and the second has a bad response after 70 ms.
/// let calls = std::cell::Cell::new(0);
/// let service = layer.layer(service_fn(|n: u32| {
///     calls.set(calls.get() + 1);
///     let (millis, answer) = [(3_600_000, n), (70, 0), (30, n)][calls.get() - 1];
///     async move {
///         tokio::time::sleep(Duration::from_millis(millis)).await;
///         Ok::<_, BoxError>(answer)
///     }
/// }));
/// let began = tokio::time::Instant::now();
/// assert_eq!(service.oneshot(7).await?, 7);
/// assert!(began.elapsed() < Duration::from_millis(140));
/// # Ok(())
/// # }
/// ```
pub struct Builder<P = (), C = ErrorIsFailure, L = KeepErrors> {
    policy: P,
    classify: C,
    percentile: f64,
    min_samples: u64,
    window: Duration,
    floor: Duration,
    fixed: Option<Duration>,
    attempts: u32,
    max_extra: f64,
    budget: Option<SharedBudget>,
    deposits: bool,
    observer: Observer<Event>,
    keep: PhantomData<L>,
}

impl Builder {
    pub(crate) const fn new() -> Self {
        Self {
            policy: (),
            classify: ErrorIsFailure,
            percentile: 0.99,
            min_samples: 20,
            window: Duration::from_secs(30),
            floor: Duration::from_millis(1),
            fixed: None,
            attempts: 2,
            max_extra: 0.01,
            budget: None,
            deposits: true,
            observer: Observer::none(),
            keep: PhantomData,
        }
    }
}

impl<P, C, L> Builder<P, C, L> {
    /// Sets the percentile of recent latencies above which a request is slow: greater than 0, and at most 1. By default
    /// 0.99.
    ///
    /// This matches the default of [`max_extra`](Self::max_extra): the share of slow requests equals the share that may
    /// be hedged. With a lower percentile, the budget is spent on requests that are not the slowest. If more than 1 %
    /// of requests are slow, lower the percentile and raise `max_extra`: the percentile must be one at which requests
    /// are still fast.
    #[must_use]
    pub const fn percentile(mut self, percentile: f64) -> Self {
        self.percentile = percentile;
        self
    }

    /// Sets the window of recent latencies. It slides by a fifth of its length, and nothing is hedged before the first
    /// fifth. By default 30 seconds; at least 100 milliseconds.
    #[must_use]
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Sets the minimum number of requests in the window; with fewer, none is hedged. By default 20: with fewer
    /// samples, a percentile above 0.95 is decided by at most one request.
    #[must_use]
    pub const fn min_samples(mut self, samples: u64) -> Self {
        self.min_samples = samples;
        self
    }

    /// Sets the minimum latency of a slow request, whatever the percentile. By default 1 millisecond.
    #[must_use]
    pub const fn floor(mut self, floor: Duration) -> Self {
        self.floor = floor;
        self
    }

    /// Sends a hedge after a fixed `delay`, without measuring, like `hedgingDelay` in gRPC. If it is zero, all attempts
    /// are sent immediately.
    #[must_use]
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.fixed = Some(delay);
        self
    }

    /// Sets the maximum number of attempts, including the first; each is sent when the previous one is slow. From 2 to 5,
    /// as in gRPC. By default 2.
    #[must_use]
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Limits the number of hedges to a share of the successful requests: from 0 to 1. By default 0.01, which is 1 %.
    ///
    /// The limit holds from the start: there is no initial burst. Unused budget is saved, up to the amount that 10,000
    /// requests deposit. Setting a [`budget`](Self::budget) replaces it.
    #[must_use]
    pub const fn max_extra(mut self, share: f64) -> Self {
        self.max_extra = share;
        self
    }

    /// Sets the budget of hedges, in place of [`max_extra`](Self::max_extra): each success deposits into it, and each
    /// hedge withdraws from it.
    #[must_use]
    pub fn budget(mut self, budget: Arc<dyn Budget + Send + Sync>) -> Self {
        self.budget = Some(budget);
        self.deposits = true;
        self
    }

    /// Uses the budget of retries around this layer: hedges withdraw from it, and only the retries deposit into it.
    #[must_use]
    pub fn share_budget(mut self, budget: Arc<dyn Budget + Send + Sync>) -> Self {
        self.budget = Some(budget);
        self.deposits = false;
        self
    }

    /// Calls `observer` for each event. It runs inside the response future, so it must not block.
    #[must_use]
    pub fn on_event(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observer);
        self
    }

    /// Hedges the requests for which `condition` returns `true`; these must be safe to execute twice.
    #[must_use]
    pub fn when<Request, F>(self, condition: F) -> Builder<When<F>, C, L>
    where
        F: Fn(&Request) -> bool,
        Request: Clone,
    {
        self.policy(When::new(condition))
    }

    /// Sets which requests may be hedged, and how they are copied. See [`Policy`](crate::Policy).
    #[must_use]
    pub fn policy<P2>(self, policy: P2) -> Builder<P2, C, L> {
        self.with(|_, classify| (policy, classify))
    }

    /// Sets how results are classified: a closure `Fn(Result<&Response, &BoxError>) -> Class`, or any other
    /// [`Classify`](tower_classify::Classify). By default [`ErrorIsFailure`]: the first success wins. For HTTP and gRPC
    /// there is `http::HedgeResponses`, behind the feature `http`.
    ///
    /// | class | what happens |
    /// |---|---|
    /// | `Success` | the response is returned, and its latency is recorded |
    /// | `Failure` that is transient, `Unsent` | the attempt loses. If all attempts lose, the result of the first one is returned |
    /// | `Failure` that is not transient, `Ignored` | the result is returned: other attempts would not do better. Its latency is not recorded |
    ///
    /// After an attempt has lost, the pushback of the failure determines when the next one is sent: with `After(time)`
    /// exactly after that time; with `Never` not at all. Without a pushback it is sent as planned if another attempt is
    /// in flight, and otherwise not at all: a hedge helps against slowness, not against failure.
    ///
    /// Every result is classified, even if there was only one attempt, because only the latency of a success is
    /// recorded.
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> Builder<P, C2, KeepResults> {
        self.with(|policy, _| (policy, classify))
    }

    /// Keeps only the errors of attempts that have lost, so that the response future is `Send` even if the response is
    /// not. A response that loses is returned immediately. This is the default unless [`classify`](Self::classify) is
    /// called.
    #[must_use]
    pub fn keep_errors(self) -> Builder<P, C, KeepErrors> {
        self.with(|policy, classify| (policy, classify))
    }

    /// Builds the layer.
    ///
    /// # Errors
    ///
    /// If a setting is out of range.
    pub fn build(self) -> Result<HedgeLayer<P, C, L>, InvalidHedge> {
        if !(self.percentile > 0.0 && self.percentile <= 1.0) {
            return Err(InvalidHedge::Percentile(self.percentile));
        }
        if self.window < MIN_WINDOW {
            return Err(InvalidHedge::Window(self.window));
        }
        if !(2..=5).contains(&self.attempts) {
            return Err(InvalidHedge::Attempts(self.attempts));
        }
        if !(0.0..=1.0).contains(&self.max_extra) {
            return Err(InvalidHedge::MaxExtra(self.max_extra));
        }
        let delay = match self.fixed {
            Some(delay) => DelaySettings::Fixed(delay),
            None => DelaySettings::Measured(Slow {
                percentile: self.percentile,
                min_data_points: self.min_samples,
                floor: self.floor,
                slices: SLICES,
                slice: self.window / SLICES as u32,
            }),
        };
        let budget = self
            .budget
            .unwrap_or_else(|| Arc::new(ExtraLoad::new(self.max_extra)));
        let settings = Settings {
            delay,
            attempts: self.attempts,
            budget,
            deposits: self.deposits,
            observer: self.observer,
        };
        Ok(HedgeLayer::build(self.policy, self.classify, settings))
    }

    /// Replaces the policy, the classification and what is kept.
    fn with<P2, C2, L2>(self, f: impl FnOnce(P, C) -> (P2, C2)) -> Builder<P2, C2, L2> {
        let (policy, classify) = f(self.policy, self.classify);
        Builder {
            policy,
            classify,
            percentile: self.percentile,
            min_samples: self.min_samples,
            window: self.window,
            floor: self.floor,
            fixed: self.fixed,
            attempts: self.attempts,
            max_extra: self.max_extra,
            budget: self.budget,
            deposits: self.deposits,
            observer: self.observer,
            keep: PhantomData,
        }
    }
}

impl<P: fmt::Debug, C, L> fmt::Debug for Builder<P, C, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("policy", &self.policy)
            .field("percentile", &self.percentile)
            .field("min_samples", &self.min_samples)
            .field("window", &self.window)
            .field("floor", &self.floor)
            .field("delay", &self.fixed)
            .field("attempts", &self.attempts)
            .field("max_extra", &self.max_extra)
            .finish_non_exhaustive()
    }
}

/// The number of steps in which the window slides. Each takes as much memory as a shard of the counters.
const SLICES: usize = 5;
/// Computing the threshold takes 20 to 60 microseconds, once per slice.
const MIN_WINDOW: Duration = Duration::from_millis(100);

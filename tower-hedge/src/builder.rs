use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_retry::budget::Budget;

use crate::budget::ExtraLoad;
use crate::latencies::Slow;
use crate::policy::When;
use crate::shared::{DelaySettings, Observer, Settings, SharedBudget};
use crate::{Event, FirstOk, HedgeLayer, InvalidHedge};

/// A [`HedgeLayer`] to be filled in.
///
/// What may be hedged must be said, by [`when`](Self::when) or [`policy`](Self::policy); all else has defaults.
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), tower_hedge::BoxError> {
/// use std::sync::Arc;
/// use std::time::Duration;
/// use tower_hedge::{BoxError, HedgeLayer, Next, Verdict};
/// use tower_layer::Layer;
/// use tower_retry::budget::TpsBudget;
/// use tower_util::{ServiceExt, service_fn};
///
/// // As gRPC has it: up to three requests, 50 ms apart, from the budget that the retries have as well.
/// let layer = HedgeLayer::builder()
///     .when(|n: &u32| *n < 100)
///     .delay(Duration::from_millis(50))
///     .attempts(3)
///     .budget(Arc::new(TpsBudget::default()))
///     // An answer of 0 is none: let us see what the others say.
///     .classify(|result: Result<&u32, &BoxError>| match result {
///         Ok(1..) => Verdict::Win,
///         Ok(0) | Err(_) => Verdict::Lose { next: Next::AsPlanned },
///     })
///     .on_event(|event| println!("{event:?}"))
///     .build()?;
///
/// // The first request takes an hour, and the second has a bad answer after 70 ms.
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
pub struct Builder<P = (), C = FirstOk> {
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
    observer: Option<Observer>,
}

impl Builder {
    pub(crate) const fn new() -> Self {
        Self {
            policy: (),
            classify: FirstOk,
            percentile: 0.99,
            min_samples: 20,
            window: Duration::from_secs(30),
            floor: Duration::from_millis(1),
            fixed: None,
            attempts: 2,
            max_extra: 0.01,
            budget: None,
            deposits: true,
            observer: None,
        }
    }
}

impl<P, C> Builder<P, C> {
    /// A request is slow that has taken longer than such a share of the recent ones: over 0, and up to 1. By default 0.99.
    ///
    /// That goes with the default of [`max_extra`](Self::max_extra): as many are slow as may be sent again. With a lower
    /// one, the budget runs out over requests that are not the slowest. Where more than 1 % are slow, raise the one and
    /// lower the other: the percentile must be one at which requests are still fast.
    #[must_use]
    pub const fn percentile(mut self, percentile: f64) -> Self {
        self.percentile = percentile;
        self
    }

    /// How long requests are recent. The window slides by a fifth of it, after which there is also the first verdict. By
    /// default 30 seconds; it must be 100 milliseconds at least.
    #[must_use]
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// If there were fewer requests in the window, none is hedged. By default 20, below which a percentile over 0.95 is
    /// that of one or no request.
    #[must_use]
    pub const fn min_samples(mut self, samples: u64) -> Self {
        self.min_samples = samples;
        self
    }

    /// No request is slow before, whatever the others take. By default 1 millisecond.
    #[must_use]
    pub const fn floor(mut self, floor: Duration) -> Self {
        self.floor = floor;
        self
    }

    /// Measures nothing: any request is slow after so long, as gRPC's `hedgingDelay` has it. With zero, all attempts are
    /// made at once.
    #[must_use]
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.fixed = Some(delay);
        self
    }

    /// How many requests there are at most for one, the first included; each waits for the one before to be slow. From 2 to
    /// 5, as in gRPC. By default 2.
    #[must_use]
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// How many more requests there may be, as a share of those that succeed: from 0 to 1. By default 0.01, which is 1 %.
    ///
    /// There is nothing beyond that share, not even at the beginning. What was not needed is saved, up to what 10,000
    /// requests have earned. A [`budget`](Self::budget) takes its place.
    #[must_use]
    pub const fn max_extra(mut self, share: f64) -> Self {
        self.max_extra = share;
        self
    }

    /// What bounds the further requests, in place of [`max_extra`](Self::max_extra): each success deposits, and each further
    /// request withdraws.
    #[must_use]
    pub fn budget(mut self, budget: Arc<dyn Budget + Send + Sync>) -> Self {
        self.budget = Some(budget);
        self.deposits = true;
        self
    }

    /// The budget of retries around this layer bounds the further requests as well: they withdraw from it, and the retries
    /// deposit.
    #[must_use]
    pub fn share_budget(mut self, budget: Arc<dyn Budget + Send + Sync>) -> Self {
        self.budget = Some(budget);
        self.deposits = false;
        self
    }

    /// Called with all that happens to slow requests, from within the response future: it should be quick.
    #[must_use]
    pub fn on_event(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Which requests may be sent again: only those that are safe to do twice.
    #[must_use]
    pub fn when<Request, F>(self, condition: F) -> Builder<When<F>, C>
    where
        F: Fn(&Request) -> bool,
        Request: Clone,
    {
        self.policy(When::new(condition))
    }

    /// Which requests may be sent again, and how they are copied. See [`Policy`](crate::Policy).
    #[must_use]
    pub fn policy<P2>(self, policy: P2) -> Builder<P2, C> {
        self.with(|_, classify| (policy, classify))
    }

    /// Which answers count. See [`Classify`](crate::Classify). By default the first success wins.
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> Builder<P, C2> {
        self.with(|policy, _| (policy, classify))
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// If a number is out of its range.
    pub fn build(self) -> Result<HedgeLayer<P, C>, InvalidHedge> {
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

    /// Changes the types.
    fn with<P2, C2>(self, f: impl FnOnce(P, C) -> (P2, C2)) -> Builder<P2, C2> {
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
        }
    }
}

impl<P: fmt::Debug, C> fmt::Debug for Builder<P, C> {
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

/// In how many steps the window slides. Each takes as much memory as a shard of the counters.
const SLICES: usize = 5;
/// Finding what is slow takes 20 to 60 microseconds, once in a slice.
const MIN_WINDOW: Duration = Duration::from_millis(100);

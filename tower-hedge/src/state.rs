//! State that clones and their response futures share.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tower_readiness::{Observer, event};
use tower_retry::budget::{Budget, TpsBudget};

use crate::Event;
use crate::latencies::{Latencies, Slow};

pub(crate) type SharedBudget = Arc<dyn Budget + Send + Sync>;

/// The settings of a layer, used by all of its services.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) delay: DelaySettings,
    /// The maximum number of attempts, including the first.
    pub(crate) attempts: u32,
    pub(crate) budget: SharedBudget,
    /// Whether successes deposit into the budget.
    pub(crate) deposits: bool,
    pub(crate) observer: Observer<Event>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum DelaySettings {
    Fixed(Duration),
    Measured(Slow),
}

/// The state that the clones of a service and their requests share.
#[derive(Clone)]
pub(crate) struct State {
    delay: Delay,
    pub(crate) attempts: u32,
    pub(crate) budget: SharedBudget,
    deposits: bool,
    observer: Observer<Event>,
}

/// A panic breaks no invariant: budgets and latencies are counters, and an observer receives complete events.
impl UnwindSafe for State {}
impl RefUnwindSafe for State {}

#[derive(Clone)]
enum Delay {
    Fixed(Duration),
    Measured(Arc<Latencies>),
}

impl Settings {
    /// The settings of tower 0.5, which has no builder.
    pub(crate) fn of_tower(min_data_points: u64, percentile: f32, period: Duration) -> Self {
        Self {
            delay: DelaySettings::Measured(Slow {
                // 0.99 as an `f32` is slightly greater as an `f64`.
                percentile: (f64::from(percentile) * 1e6).round() / 1e6,
                min_data_points,
                floor: Duration::ZERO,
                slices: 1,
                slice: period,
            }),
            attempts: 2,
            budget: Arc::new(TpsBudget::default()),
            deposits: true,
            observer: Observer::none(),
        }
    }
}

impl State {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            delay: match settings.delay {
                DelaySettings::Fixed(delay) => Delay::Fixed(delay),
                DelaySettings::Measured(slow) => {
                    Delay::Measured(Arc::new(Latencies::new(slow, Instant::now())))
                }
            },
            attempts: settings.attempts,
            budget: settings.budget,
            deposits: settings.deposits,
            observer: settings.observer,
        }
    }

    pub(crate) fn preset(&self, latencies: impl IntoIterator<Item = Duration>) {
        if let Delay::Measured(known) = &self.delay {
            known.preset(latencies);
        }
    }

    /// Returns how long to wait before the next attempt; `None` if there are too few samples.
    pub(crate) fn delay(&self, now: Instant) -> Option<Duration> {
        match &self.delay {
            Delay::Fixed(delay) => Some(*delay),
            Delay::Measured(latencies) => latencies.slow(now),
        }
    }

    /// Records that the first attempt has taken at least the time from `began` until now.
    pub(crate) fn record(&self, began: Instant) {
        if let Delay::Measured(latencies) = &self.delay {
            let now = Instant::now();
            latencies.record(now.saturating_duration_since(began), now);
        }
    }

    /// Deposits for a successful request.
    pub(crate) fn deposit(&self) {
        if self.deposits {
            self.budget.deposit();
        }
    }

    pub(crate) fn emit(&self, event: Event) {
        event!(DEBUG, ?event, "hedge");
        self.observer.notify(&event);
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("delay", &self.delay)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

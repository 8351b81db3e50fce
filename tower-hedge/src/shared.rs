//! What clones and their responses share.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tower_retry::budget::{Budget, TpsBudget};

use crate::Event;
use crate::latencies::{Latencies, Slow};

pub(crate) type SharedBudget = Arc<dyn Budget + Send + Sync>;
pub(crate) type Observer = Arc<dyn Fn(&Event) + Send + Sync>;

/// What a layer gives to all of its services.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) delay: DelaySettings,
    /// The first request included.
    pub(crate) attempts: u32,
    pub(crate) budget: SharedBudget,
    /// Whether successes are deposited here.
    pub(crate) deposits: bool,
    pub(crate) observer: Option<Observer>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum DelaySettings {
    Fixed(Duration),
    Measured(Slow),
}

/// Its reference count, which each request writes twice, is in other cache lines.
#[derive(Clone)]
#[repr(align(128))]
pub(crate) struct Shared {
    delay: Delay,
    pub(crate) attempts: u32,
    pub(crate) budget: SharedBudget,
    deposits: bool,
    observer: Option<Observer>,
}

/// A panic leaves nothing half done: budgets and measurements are counts, and each observer is told of a whole event.
impl UnwindSafe for Shared {}
impl RefUnwindSafe for Shared {}

#[derive(Clone)]
enum Delay {
    Fixed(Duration),
    Measured(Arc<Latencies>),
}

impl Settings {
    /// Those of tower 0.5, where there is no builder.
    pub(crate) fn of_tower(min_data_points: u64, percentile: f32, period: Duration) -> Self {
        Self {
            delay: DelaySettings::Measured(Slow {
                // What is 0.99 as an `f32` is a little more as an `f64`.
                percentile: (f64::from(percentile) * 1e6).round() / 1e6,
                min_data_points,
                floor: Duration::ZERO,
                slices: 1,
                slice: period,
            }),
            attempts: 2,
            budget: Arc::new(TpsBudget::default()),
            deposits: true,
            observer: None,
        }
    }
}

impl Shared {
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

    /// How long to wait for an answer before the next request is sent; `None` if that is not known.
    pub(crate) fn delay(&self, now: Instant) -> Option<Duration> {
        match &self.delay {
            Delay::Fixed(delay) => Some(*delay),
            Delay::Measured(latencies) => latencies.slow(now),
        }
    }

    /// The first request took from `began` until now, or longer.
    pub(crate) fn record(&self, began: Instant) {
        if let Delay::Measured(latencies) = &self.delay {
            let now = Instant::now();
            latencies.record(now.saturating_duration_since(began), now);
        }
    }

    /// A request has succeeded.
    pub(crate) fn deposit(&self) {
        if self.deposits {
            self.budget.deposit();
        }
    }

    pub(crate) fn tell(&self, event: Event) {
        tracing::debug!(?event, "hedge");
        if let Some(observer) = &self.observer {
            observer(&event);
        }
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

use tokio::time::Instant;
use tower_classify::Class;
use tower_util::rng::Rng;

use super::AccrualConfig;
use super::window::Window;
use crate::policy::InvalidPolicy;

/// Tracks whether an endpoint is dead; see the [module](super).
///
/// # Clone
///
/// A clone tracks another endpoint, starting with the same history. An [`Attempt`] of one does not apply to the other.
#[derive(Debug, Clone)]
pub struct FailureAccrual {
    config: AccrualConfig,
    status: Status,
    record: Record,
    /// The number of consecutive failed probes.
    failed_probes: u32,
    /// Incremented with every change of the status: requests that began before it do not count after it.
    life: u64,
}

/// Whether to send requests to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Send requests; no probe is needed.
    Alive,
    /// Send no requests until the given time.
    Dead {
        /// When it may be probed.
        until: Instant,
    },
    /// Send one request, as a probe.
    ProbeOpen,
    /// Send no requests: the probe is in flight.
    ProbeClosed,
}

/// A request in flight. Pass it to [`FailureAccrual::end`], at least with [`Class::Ignored`]: a probe that never ends
/// keeps its endpoint at [`Status::ProbeClosed`] forever.
#[derive(Debug)]
#[must_use = "a probe that never ends keeps its endpoint closed"]
pub struct Attempt {
    life: u64,
    is_probe: bool,
}

/// When the current step of the window ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// Never: there is no window.
    Endless,
    /// The step ends at this time.
    Until(Instant),
    /// No step has begun; the next record begins one.
    NotBegun,
}

impl Attempt {
    pub(crate) const fn of_alive(life: u64) -> Self {
        let is_probe = false;
        Self { life, is_probe }
    }

    pub(crate) const fn life(&self) -> u64 {
        self.life
    }
}

#[derive(Debug, Clone)]
struct Record {
    in_a_row: u32,
    window: Option<Window>,
    /// The moving average of successes, and the number of requests in it.
    average: (f64, u32),
}

impl FailureAccrual {
    /// Creates the state of an endpoint that is alive.
    ///
    /// # Errors
    ///
    /// If a number of consecutive failures is 0, a rate is not from 0 to 1, a window is zero, or the minimum wait
    /// exceeds the maximum.
    pub fn new(config: AccrualConfig) -> Result<Self, InvalidPolicy> {
        config.validate()?;
        let record = Record::new(&config);
        Ok(Self {
            config,
            status: Status::Alive,
            record,
            failed_probes: 0,
            life: 0,
        })
    }

    /// Returns whether to send requests to the endpoint.
    pub fn status(&self, now: Instant) -> Status {
        match self.status {
            Status::Dead { until } if until <= now => Status::ProbeOpen,
            status => status,
        }
    }

    /// Records that a request is sent to the endpoint, whatever its status.
    pub fn begin(&mut self, now: Instant) -> Attempt {
        // ## ProbeOpen => ProbeClosed
        let is_probe = self.status(now) == Status::ProbeOpen;
        if is_probe {
            self.enter(Status::ProbeClosed);
        }
        Attempt {
            life: self.life,
            is_probe,
        }
    }

    /// Records the result of a request. [`Unsent`](Class::Unsent) counts as a failure.
    pub fn end<R: Rng + ?Sized>(
        &mut self,
        attempt: Attempt,
        class: Class,
        now: Instant,
        rng: &mut R,
    ) {
        if attempt.life != self.life {
            return;
        }
        match (self.status, class) {
            // Sent while the probe was in flight.
            (Status::ProbeClosed, _) if !attempt.is_probe => {}
            // ## ProbeClosed => Alive | Dead | ProbeOpen
            (Status::ProbeClosed, Class::Success) => self.revive(),
            (Status::ProbeClosed, class) if class.is_failure() => {
                self.failed_probes = self.failed_probes.saturating_add(1);
                self.die(now, rng);
            }
            (Status::ProbeClosed, _) => self.enter(Status::ProbeOpen),
            // ## Alive => Alive | Dead
            (Status::Alive, class) if class.is_success() || class.is_failure() => {
                self.record.add(&self.config, class.is_success(), now);
                if class.is_failure() && self.record.is_bad(&self.config) {
                    self.die(now, rng);
                }
            }
            // Sent although the endpoint was dead, or ignored.
            (Status::Alive | Status::Dead { .. } | Status::ProbeOpen, _) => {}
        }
    }

    /// Returns the number of the current life, or `None` if the endpoint is not alive.
    pub(crate) fn life(&self) -> Option<u64> {
        (self.status == Status::Alive).then_some(self.life)
    }

    /// Returns how long successes may be collected. They must be recorded by [`succeeded`](Self::succeeded) before
    /// anything else is.
    pub(crate) fn step(&self) -> Step {
        match &self.record.window {
            None => Step::Endless,
            Some(window) => window.step_ends().map_or(Step::NotBegun, Step::Until),
        }
    }

    /// Records a number of successes, if the endpoint is alive.
    pub(crate) fn succeeded(&mut self, successes: u64) {
        if self.status == Status::Alive {
            self.record.succeeded(&self.config, successes);
        }
    }

    /// Marks the endpoint alive and clears its history, for example because a health check has succeeded.
    pub fn revive(&mut self) {
        self.enter(Status::Alive);
        self.failed_probes = 0;
    }

    fn die<R: Rng + ?Sized>(&mut self, now: Instant, rng: &mut R) {
        let wait = self.config.wait(self.failed_probes, rng);
        let until = now.checked_add(wait).unwrap_or(now + FAR);
        self.enter(Status::Dead { until });
    }

    fn enter(&mut self, status: Status) {
        self.status = status;
        self.record = Record::new(&self.config);
        self.life = self.life.wrapping_add(1);
    }
}

impl Record {
    fn new(config: &AccrualConfig) -> Self {
        let window = config.within.map(|rule| Window::new(rule.window));
        Self {
            in_a_row: 0,
            window,
            average: (1.0, 0),
        }
    }

    fn add(&mut self, config: &AccrualConfig, success: bool, now: Instant) {
        self.in_a_row = if success {
            0
        } else {
            self.in_a_row.saturating_add(1)
        };
        if let Some(window) = &mut self.window {
            window.record(success, now);
        }
        self.average(config, success, 1);
    }

    /// Records a number of successes, at the time of the last record.
    fn succeeded(&mut self, config: &AccrualConfig, successes: u64) {
        if successes == 0 {
            return;
        }
        self.in_a_row = 0;
        if let Some(window) = &mut self.window {
            window.succeeded(successes);
        }
        self.average(config, true, u32::try_from(successes).unwrap_or(u32::MAX));
    }

    fn average(&mut self, config: &AccrualConfig, success: bool, times: u32) {
        if let Some(rule) = config.over {
            let sample = f64::from(u8::from(success));
            let (average, count) = self.average;
            // The first value stands for the whole history.
            let weight = if count == 0 {
                0.0
            } else {
                (-f64::from(times) / f64::from(rule.requests)).exp()
            };
            self.average = (
                average * weight + sample * (1.0 - weight),
                count.saturating_add(times),
            );
        }
    }

    fn is_bad(&self, config: &AccrualConfig) -> bool {
        let in_a_row = config.consecutive.is_some_and(|most| self.in_a_row >= most);
        let within = config
            .within
            .zip(self.window.as_ref())
            .is_some_and(|(rule, window)| {
                let (successes, failures) = window.totals();
                let count = successes + failures;
                count >= rule.min_requests && (successes as f64) < rule.rate * count as f64
            });
        let (average, count) = self.average;
        let over = config
            .over
            .is_some_and(|rule| count >= rule.requests && average < rule.rate);
        in_a_row || within || over
    }
}

/// A year: in place of a duration whose sum with the time cannot be represented.
const FAR: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 3600);

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tower_classify::{Class, Pushback};
use tower_util::InvalidPolicy;
use tower_util::rng::Rng;

use super::BreakerPolicy;
use super::window::Window;
use crate::error::Open;
use crate::{Cause, Event};

/// The state of a circuit breaker; see the [module](super) for an example.
///
/// # Clone
///
/// A clone is another breaker, with the same policy and history. A [`Ticket`] of one does not apply to the other.
#[derive(Debug, Clone)]
pub struct Circuit {
    policy: Arc<BreakerPolicy>,
    status: Status,
    record: Record,
    /// How often the circuit has opened without having closed in between, and the last of these times.
    openings: u32,
    last_open: Duration,
    /// The number of changes of the status. The result of a request that began before a change does not count.
    life: u64,
}

/// Whether a breaker lets requests through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It lets all requests through.
    Closed,
    /// It rejects all requests.
    Open {
        /// When it may be probed.
        until: Instant,
    },
    /// It lets a bounded number of requests through, as probes.
    HalfOpen,
    /// It rejects all requests until it is reset.
    ForcedOpen,
    /// It lets all requests through, whatever their results, until it is reset.
    ForcedClosed,
}

/// A request that a [`Circuit`] has let through. Pass it to [`Circuit::end`], at least with [`Class::Ignored`]: a probe
/// that never ends keeps its place.
#[derive(Debug)]
#[must_use = "a probe that never ends keeps its place"]
pub struct Ticket {
    life: u64,
}

/// The result of a request, and how long it took.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    class: Class,
    took: Duration,
}

/// The status is [`State`], except that it is `Open` until the first probe begins.
#[derive(Debug, Clone, Copy)]
enum Status {
    Closed,
    Open {
        until: Instant,
    },
    HalfOpen {
        in_flight: u32,
        successes: u32,
        /// When the last probe began.
        probed: Instant,
    },
    ForcedOpen,
    ForcedClosed,
}

/// What is known of the requests since the circuit has closed.
#[derive(Debug, Clone)]
struct Record {
    consecutive: u32,
    /// The requests, those that failed, and those that were slow.
    window: Option<Window<3>>,
}

/// When the current step of the window ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Never: there is no window.
    Endless,
    /// At this time.
    Until(Instant),
    /// No step has begun; the next record begins one.
    NotBegun,
}

impl Circuit {
    /// Creates a closed circuit.
    ///
    /// # Errors
    ///
    /// If a number of failures, probes or successes is 0, a ratio is not more than 0 and at most 1, or the window or
    /// the time of a probe is zero.
    pub fn new(policy: BreakerPolicy) -> Result<Self, InvalidPolicy> {
        policy.validate()?;
        Ok(Self {
            record: Record::new(&policy),
            policy: Arc::new(policy),
            status: Status::Closed,
            openings: 0,
            last_open: Duration::ZERO,
            life: 0,
        })
    }

    /// Returns whether it lets requests through.
    pub fn state(&self, now: Instant) -> State {
        match self.status {
            Status::Closed => State::Closed,
            Status::Open { until } if now < until => State::Open { until },
            Status::Open { .. } | Status::HalfOpen { .. } => State::HalfOpen,
            Status::ForcedOpen => State::ForcedOpen,
            Status::ForcedClosed => State::ForcedClosed,
        }
    }

    /// Returns whether a request may begin, without beginning it.
    ///
    /// # Errors
    ///
    /// As for [`begin`](Self::begin).
    pub fn check(&self, now: Instant) -> Result<(), Open> {
        match self.status {
            Status::Closed | Status::ForcedClosed => Ok(()),
            Status::HalfOpen { in_flight, .. } if in_flight < self.policy.probes => Ok(()),
            _ if self.due().is_some_and(|due| due <= now) => Ok(()),
            Status::Open { until } => Err(Open::new(Some(until - now))),
            Status::HalfOpen { .. } | Status::ForcedOpen => Err(Open::new(None)),
        }
    }

    /// Returns when a request may begin without another event, if requests may not begin before: when the circuit may be
    /// probed, or when a probe no longer counts.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.status {
            Status::Open { until } => Some(until),
            Status::HalfOpen {
                in_flight, probed, ..
            } if in_flight >= self.policy.probes => probed.checked_add(self.policy.max_probe_time),
            _ => None,
        }
    }

    /// Makes an open circuit half-open if its time is over. [`begin`](Self::begin) does it as well; call this before it
    /// to learn of the change.
    pub fn advance(&mut self, now: Instant) -> Option<Event> {
        if self.due().is_none_or(|due| now < due) {
            return None;
        }
        // ## Open => HalfOpen, or HalfOpen => HalfOpen: without the probes that take too long.
        let was_open = matches!(self.status, Status::Open { .. });
        self.enter(Status::HalfOpen {
            in_flight: 0,
            successes: 0,
            probed: now,
        });
        was_open.then_some(Event::HalfOpened)
    }

    /// Begins a request.
    ///
    /// # Errors
    ///
    /// If the circuit is open, or is half-open and all probes are in flight.
    pub fn begin(&mut self, now: Instant) -> Result<Ticket, Open> {
        self.advance(now);
        self.check(now)?;
        if let Status::HalfOpen {
            in_flight, probed, ..
        } = &mut self.status
        {
            *in_flight += 1;
            *probed = now;
        }
        Ok(Ticket::new(self.life))
    }

    /// Ends a request. Returns the change of the state, if there is one.
    ///
    /// [`Unsent`](Class::Unsent) counts as a failure. [`Ignored`](Class::Ignored), which is also the class of a request
    /// that was cancelled, counts only if it was slow and there is a rule for that; a probe frees its place.
    pub fn end<R: Rng>(
        &mut self,
        ticket: Ticket,
        outcome: Outcome,
        now: Instant,
        rng: &mut R,
    ) -> Option<Event> {
        if ticket.life != self.life {
            return None;
        }
        let Outcome { class, took } = outcome;
        let slow = self.policy.slow.is_some_and(|rule| took >= rule.threshold);
        match &mut self.status {
            Status::Closed => {
                if class.is_success() || class.is_failure() || slow {
                    self.record.add(class, slow, now);
                }
                let may_trip = class.is_failure() || slow;
                let cause = may_trip
                    .then(|| self.record.trips(&self.policy))
                    .flatten()?;
                // ## Closed => Open
                Some(self.open(class, cause, now, rng))
            }
            Status::HalfOpen {
                in_flight,
                successes,
                ..
            } => {
                *in_flight = in_flight.saturating_sub(1);
                if class.is_failure() || slow {
                    // ## HalfOpen => Open
                    return Some(self.open(class, Cause::Probe, now, rng));
                }
                if !class.is_success() {
                    return None;
                }
                *successes += 1;
                // ## HalfOpen => HalfOpen | Closed
                (*successes >= self.policy.successes).then(|| self.close(Status::Closed))
            }
            // Tickets are given out in no other status, except where nothing counts.
            Status::Open { .. } | Status::ForcedOpen | Status::ForcedClosed => None,
        }
    }

    /// Rejects all requests until [`reset`](Self::reset) or [`force_closed`](Self::force_closed).
    pub fn force_open(&mut self) -> Option<Event> {
        if matches!(self.status, Status::ForcedOpen) {
            return None;
        }
        self.enter(Status::ForcedOpen);
        Some(Event::Opened {
            open_for: None,
            cause: Cause::Forced,
        })
    }

    /// Lets all requests through until [`reset`](Self::reset) or [`force_open`](Self::force_open).
    pub fn force_closed(&mut self) -> Option<Event> {
        self.close_anyway(Status::ForcedClosed)
    }

    /// Closes the circuit and forgets its history. It opens by its rules again.
    pub fn reset(&mut self) -> Option<Event> {
        self.close_anyway(Status::Closed)
    }

    /// Returns the number of changes of the status.
    pub(crate) const fn life(&self) -> u64 {
        self.life
    }

    /// Returns whether all requests are let through.
    pub(crate) const fn is_closed(&self) -> bool {
        matches!(self.status, Status::Closed | Status::ForcedClosed)
    }

    /// Returns how long successes may be collected. They must be recorded by [`succeeded`](Self::succeeded) before
    /// anything else is.
    pub(crate) fn step(&self) -> Step {
        match &self.record.window {
            Some(_) if matches!(self.status, Status::ForcedClosed) => Step::Endless,
            None => Step::Endless,
            Some(window) => window.step_ends().map_or(Step::NotBegun, Step::Until),
        }
    }

    /// Records a number of successes that were not slow, in the step of the last record, if the circuit is closed.
    pub(crate) fn succeeded(&mut self, successes: u64) {
        if matches!(self.status, Status::Closed) && successes > 0 {
            self.record.consecutive = 0;
            if let Some(window) = &mut self.record.window {
                let successes = u32::try_from(successes).unwrap_or(u32::MAX);
                window.record_earlier([successes, 0, 0]);
            }
        }
    }

    fn open<R: Rng>(&mut self, class: Class, cause: Cause, now: Instant, rng: &mut R) -> Event {
        let policy = &self.policy;
        let scheduled = policy.open_time.wait(self.openings, self.last_open, rng);
        self.last_open = scheduled.unwrap_or(self.last_open);
        self.openings = self.openings.saturating_add(1);
        let asked = match class {
            Class::Failure(failure) => failure.pushback(),
            _ => None,
        };
        let open_for = match asked {
            Some(Pushback::After(time)) if !time.min(policy.max_pushback).is_zero() => {
                time.min(policy.max_pushback)
            }
            _ => self.last_open,
        };
        let until = now.checked_add(open_for).unwrap_or_else(|| now + FAR);
        self.enter(Status::Open { until });
        Event::Opened {
            open_for: Some(open_for),
            cause,
        }
    }

    fn close_anyway(&mut self, status: Status) -> Option<Event> {
        let was_closed = self.is_closed();
        let closed = self.close(status);
        (!was_closed).then_some(closed)
    }

    fn close(&mut self, status: Status) -> Event {
        self.enter(status);
        (self.openings, self.last_open) = (0, Duration::ZERO);
        Event::Closed
    }

    fn enter(&mut self, status: Status) {
        self.status = status;
        self.record = Record::new(&self.policy);
        self.life = self.life.wrapping_add(1);
    }
}

impl Record {
    fn new(policy: &BreakerPolicy) -> Self {
        Self {
            consecutive: 0,
            window: policy.has_window().then(|| Window::new(policy.window)),
        }
    }

    fn add(&mut self, class: Class, slow: bool, now: Instant) {
        let failed = class.is_failure();
        if failed {
            self.consecutive = self.consecutive.saturating_add(1);
        } else if class.is_success() {
            self.consecutive = 0;
        }
        if let Some(window) = &mut self.window {
            window.record([1, u32::from(failed), u32::from(slow)], now);
        }
    }

    fn trips(&self, policy: &BreakerPolicy) -> Option<Cause> {
        if policy
            .consecutive
            .is_some_and(|most| self.consecutive >= most)
        {
            return Some(Cause::ConsecutiveFailures);
        }
        let [requests, failed, slow] = self.window.as_ref()?.totals();
        if requests < u64::from(policy.min_requests) {
            return None;
        }
        let reaches = |count: u64, ratio: f64| count > 0 && count as f64 >= ratio * requests as f64;
        if policy
            .failure_ratio
            .is_some_and(|ratio| reaches(failed, ratio))
        {
            return Some(Cause::FailureRatio);
        }
        let slow = policy.slow.is_some_and(|rule| reaches(slow, rule.ratio));
        slow.then_some(Cause::SlowCalls)
    }
}

impl Ticket {
    pub(crate) const fn new(life: u64) -> Self {
        Self { life }
    }

    pub(crate) const fn life(&self) -> u64 {
        self.life
    }
}

impl Outcome {
    /// Creates an outcome. `took` is used by the rule for slow calls only.
    pub const fn new(class: Class, took: Duration) -> Self {
        Self { class, took }
    }

    /// Creates the outcome of a request that ended now; `began` is `None` if it does not matter how long it took.
    pub(crate) fn between(class: Class, began: Option<Instant>, now: Instant) -> Self {
        let took = began.map(|began| now.saturating_duration_since(began));
        Self::new(class, took.unwrap_or_default())
    }
}

/// A year: in place of a duration whose sum with the time cannot be represented.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

#[cfg(test)]
mod tests;

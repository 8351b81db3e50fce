//! How loaded an endpoint is, as a client sees it: the measures of `tower-load`, in virtual time.

use std::time::Duration;

use tokio::time::Instant;
use tower_load::Ewma;
use tower_load::estimate::{Estimate, Outcome};

use crate::event::Nanos;

/// Which measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// Requests in flight: `tower_load::PendingRequests`.
    Requests,
    /// What `tower_load::PeakEwma` goes by.
    PeakEwma,
    /// What it is in tower 0.5, where a failure is a sample like any other, and silence is none.
    PlainEwma,
}

/// A client's view of one endpoint.
#[derive(Debug)]
pub struct Load {
    in_flight: u32,
    latency: Latency,
}

#[derive(Debug)]
enum Latency {
    None,
    Peak(Estimate),
    Plain(Ewma),
}

impl Load {
    /// Nothing is known, and nothing in flight. `instant` is the time `now`.
    pub fn new(measure: Measure, now: Nanos, instant: Instant) -> Self {
        let latency = match measure {
            Measure::Requests => Latency::None,
            Measure::PeakEwma => Latency::Peak(Estimate::new(now, DECAY, FIRST)),
            Measure::PlainEwma => {
                Latency::Plain(Ewma::new(instant, DECAY, FIRST.as_nanos() as f64))
            }
        };
        Self {
            in_flight: 0,
            latency,
        }
    }

    /// A request goes out.
    pub fn begin(&mut self, now: Nanos) {
        self.in_flight += 1;
        if let Latency::Peak(estimate) = &self.latency {
            estimate.begin(now);
        }
    }

    /// The request that went out at `began` is over.
    pub fn end(&mut self, began: Nanos, failed: bool, now: Nanos, instant: Instant) {
        self.in_flight -= 1;
        match &mut self.latency {
            Latency::None => {}
            Latency::Peak(estimate) => {
                let outcome = if failed {
                    Outcome::Failed
                } else {
                    Outcome::Answered
                };
                estimate.end(began, outcome, now);
            }
            Latency::Plain(ewma) => {
                ewma.add_peak(instant, (now - began) as f64);
            }
        }
    }

    /// The load.
    pub fn get(&self, now: Nanos, instant: Instant) -> f64 {
        let requests = f64::from(self.in_flight);
        match &self.latency {
            Latency::None => requests,
            Latency::Peak(estimate) => estimate.cost(now),
            Latency::Plain(ewma) => ewma.get_at(instant) * (requests + 1.0),
        }
    }
}

/// As linkerd and Finagle have it.
const DECAY: Duration = Duration::from_secs(10);
/// What counts until there is a measurement.
const FIRST: Duration = Duration::from_millis(30);

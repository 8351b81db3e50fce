//! How loaded an endpoint is, as a client sees it: the measures of `tower-load`, in virtual time.

use std::time::Duration;

use tokio::time::Instant;
use tower_classify::{Class, FailureKind};
use tower_load::Ewma;
use tower_load::estimate::Estimate;

use crate::event::Nanos;
use crate::server::Ending;

/// Which measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// Requests in flight: `tower_load::PendingRequests`.
    Requests,
    /// What `tower_load::PeakEwma` goes by, with a classification of the answers.
    PeakEwma,
    /// The same without one: what was refused was answered.
    Unclassified,
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
    Peak {
        estimate: Estimate,
        classifies: bool,
    },
    Plain(Ewma),
}

impl Load {
    /// Nothing is known, and nothing in flight; latencies count as `first` until there is one. `instant` is the time `now`.
    pub fn new(measure: Measure, first: Nanos, now: Nanos, instant: Instant) -> Self {
        let peak = |classifies| Latency::Peak {
            estimate: Estimate::new(now, DECAY, Duration::from_nanos(first)),
            classifies,
        };
        let latency = match measure {
            Measure::Requests => Latency::None,
            Measure::PeakEwma => peak(true),
            Measure::Unclassified => peak(false),
            Measure::PlainEwma => Latency::Plain(Ewma::new(instant, DECAY, first as f64)),
        };
        Self {
            in_flight: 0,
            latency,
        }
    }

    /// A request goes out.
    pub fn begin(&mut self, now: Nanos) {
        self.in_flight += 1;
        if let Latency::Peak { estimate, .. } = &self.latency {
            estimate.begin(now);
        }
    }

    /// The request that went out at `began` is over.
    pub fn end(&mut self, began: Nanos, ending: Ending, now: Nanos, instant: Instant) {
        self.in_flight -= 1;
        match &mut self.latency {
            Latency::None => {}
            Latency::Peak {
                estimate,
                classifies,
            } => {
                let class = match ending {
                    Ending::Failed => Class::failure(FailureKind::Unknown),
                    Ending::Refused if *classifies => Class::failure(FailureKind::Overloaded),
                    Ending::Refused | Ending::Answered => Class::Success,
                };
                estimate.end(began, Some(class), now);
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
            Latency::Peak { estimate, .. } => estimate.cost(now),
            Latency::Plain(ewma) => ewma.get_at(instant) * (requests + 1.0),
        }
    }
}

/// As linkerd and Finagle have it.
const DECAY: Duration = Duration::from_secs(10);

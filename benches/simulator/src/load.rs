//! The load of an endpoint as measured by a client: the measures of `tower-load`, in virtual time.

use std::time::Duration;

use tokio::time::Instant;
use tower_classify::{Class, FailureKind};
use tower_load::Ewma;
use tower_load::estimate::Estimate;

use crate::event::Nanos;
use crate::server::Completion;

/// A measure of load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// The number of in-flight requests: `tower_load::PendingRequests`.
    Requests,
    /// `tower_load::PeakEwma` with a classification of responses.
    PeakEwma,
    /// `tower_load::PeakEwma` without a classification: a response that rejects the request counts as a success.
    Unclassified,
    /// The `PeakEwma` of tower 0.5: the latency of a failure counts like that of a response, and how long in-flight requests have
    /// been pending does not count.
    PlainEwma,
}

/// The load of one endpoint, as one client measures it.
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
    /// Creates the load of an endpoint without in-flight requests. `first` is the default estimate of latency, until there is a
    /// sample. `instant` is the same time as `now`.
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

    /// Records that a request is sent.
    pub fn begin(&mut self, now: Nanos) {
        self.in_flight += 1;
        if let Latency::Peak { estimate, .. } = &self.latency {
            estimate.begin(now);
        }
    }

    /// Records the end of the request that was sent at `began`.
    pub fn end(&mut self, began: Nanos, completion: Completion, now: Nanos, instant: Instant) {
        self.in_flight -= 1;
        match &mut self.latency {
            Latency::None => {}
            Latency::Peak {
                estimate,
                classifies,
            } => {
                let class = match completion {
                    Completion::Failed => Class::failure(FailureKind::Unknown),
                    Completion::Rejected if *classifies => Class::failure(FailureKind::Overloaded),
                    Completion::Rejected | Completion::Responded => Class::Success,
                };
                estimate.end(began, Some(class), now);
            }
            Latency::Plain(ewma) => {
                ewma.add_peak(instant, (now - began) as f64);
            }
        }
    }

    /// Returns the load.
    pub fn get(&self, now: Nanos, instant: Instant) -> f64 {
        let requests = f64::from(self.in_flight);
        match &self.latency {
            Latency::None => requests,
            Latency::Peak { estimate, .. } => estimate.cost(now),
            Latency::Plain(ewma) => ewma.get_at(instant) * (requests + 1.0),
        }
    }
}

/// The default of linkerd and Finagle.
const DECAY: Duration = Duration::from_secs(10);

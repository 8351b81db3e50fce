//! What a server records of its requests, to respond to probes.

use std::collections::{BTreeMap, VecDeque};

use crate::event::{Nanos, SECOND};

/// Recent latencies by the number of in-flight requests, as in the paper on Prequal, and the rate of recent failures.
///
/// The latencies of the last requests alone, at whatever load these arrived, are not enough: a server that was overloaded and is
/// idle now would report a high latency, receive no requests that would correct it, and stay idle.
#[derive(Debug, Default)]
pub struct Memory {
    /// The last latencies, by the number of in-flight requests at arrival.
    latencies: BTreeMap<u32, VecDeque<Nanos>>,
    failing: f64,
    at: Nanos,
}

impl Memory {
    /// Records the end of a request that arrived when `in_flight` requests were in flight.
    pub fn record(&mut self, in_flight: u32, took: Nanos, failed: bool, now: Nanos) {
        let failing = self.failing(now);
        self.failing = failing + (f64::from(u8::from(failed)) - failing) / FAILING;
        self.at = now;
        if failed {
            // The latency of a failure does not count: it is short because no work was done.
            return;
        }
        let latencies = self.latencies.entry(in_flight).or_default();
        if latencies.len() == LATENCIES {
            latencies.pop_front();
        }
        latencies.push_back(took);
    }

    /// Estimates the latency of a request with `in_flight` others: the median of the last latencies at that number, or at the
    /// nearest number that has any.
    pub fn latency(&self, in_flight: u32) -> Nanos {
        let below = self.latencies.range(..=in_flight).next_back();
        let above = self.latencies.range(in_flight..).next();
        let nearest = match (below, above) {
            (Some((below, _)), Some((above, _))) if in_flight - below > above - in_flight => *above,
            (Some((below, _)), _) => *below,
            (None, Some((above, _))) => *above,
            (None, None) => return 0,
        };
        let mut took: Vec<_> = self.latencies[&nearest].iter().copied().collect();
        took.sort_unstable();
        took[took.len() / 2]
    }

    /// Returns the fraction of recent requests that failed. It decays with time, since without requests nothing else would show
    /// that the cause is gone.
    pub fn failing(&self, now: Nanos) -> f64 {
        let elapsed = now.saturating_sub(self.at) as f64;
        self.failing * (-elapsed / FADES as f64).exp()
    }
}

const LATENCIES: usize = 9;
/// About how many requests the failure rate is averaged over.
const FAILING: f64 = 32.0;
const FADES: Nanos = 10 * SECOND;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_server_does_not_report_the_latency_of_an_overload() {
        let mut memory = Memory::default();
        assert_eq!(memory.latency(3), 0);
        for _ in 0..9 {
            memory.record(0, 10, false, 1);
        }
        (1..=50).for_each(|rush| memory.record(rush, 10 * Nanos::from(rush), false, 1));
        let latencies = [0, 7, 90].map(|in_flight| memory.latency(in_flight));
        assert_eq!(latencies, [10, 70, 500]);
    }

    #[test]
    fn the_failure_rate_decays() {
        let mut memory = Memory::default();
        (0..1000).for_each(|_| memory.record(0, 1, true, SECOND));
        assert!(memory.failing(SECOND) > 0.99);
        assert_eq!(
            memory.latency(0),
            0,
            "the latency of a failure must not count"
        );
        assert!(memory.failing(60 * SECOND) < 0.01);
    }
}

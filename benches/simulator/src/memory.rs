//! What a server remembers of its requests, to answer probes.

use std::collections::{BTreeMap, VecDeque};

use crate::event::{Nanos, SECOND};

/// Latencies by the number of requests in flight, as the paper on Prequal has it; and how many requests failed of late.
///
/// To go by the last requests alone, whatever was in flight when they came, will not do: a server that had too many of them, and
/// has none now, would say that it is slow, get none that would prove otherwise, and stand idle.
#[derive(Debug, Default)]
pub struct Memory {
    /// The last latencies of requests that came when there were so many.
    latencies: BTreeMap<u32, VecDeque<Nanos>>,
    failing: f64,
    at: Nanos,
}

impl Memory {
    /// A request that came when there were so many has its end.
    pub fn record(&mut self, in_flight: u32, took: Nanos, failed: bool, now: Nanos) {
        let failing = self.failing(now);
        self.failing = failing + (f64::from(u8::from(failed)) - failing) / FAILING;
        self.at = now;
        if failed {
            // Nothing that took so short a time because nothing was done.
            return;
        }
        let latencies = self.latencies.entry(in_flight).or_default();
        if latencies.len() == LATENCIES {
            latencies.pop_front();
        }
        latencies.push_back(took);
    }

    /// How long a request takes with so many in flight: the median of what the last ones took, or those with the next number
    /// that there ever was.
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

    /// The part of the last requests that failed. It fades: without requests nothing else would tell that the cause is gone.
    pub fn failing(&self, now: Nanos) -> f64 {
        let elapsed = now.saturating_sub(self.at) as f64;
        self.failing * (-elapsed / FADES as f64).exp()
    }
}

const LATENCIES: usize = 9;
/// About so many requests count for the part that fails.
const FAILING: f64 = 32.0;
const FADES: Nanos = 10 * SECOND;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_server_does_not_remember_its_rush() {
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
    fn failures_are_forgotten_in_time() {
        let mut memory = Memory::default();
        (0..1000).for_each(|_| memory.record(0, 1, true, SECOND));
        assert!(memory.failing(SECOND) > 0.99);
        assert_eq!(memory.latency(0), 0, "a failure is no answer");
        assert!(memory.failing(60 * SECOND) < 0.01);
    }
}

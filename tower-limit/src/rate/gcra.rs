//! The generic cell rate algorithm: a token bucket whose whole state is one number. Pure: the time is an argument.

use std::time::Duration;

use super::TokenBucket;

/// The arithmetic of a [`TokenBucket`]. The state is the time at which the bucket would be full again if no more tokens were
/// taken: at the latest in `burst` intervals, and in the past if it is full.
///
/// Times are numbers of [ticks](ticks) since some start. In a full range of 64 bits they suffice for 36 years.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gcra {
    /// The time in which a token is added.
    interval: u64,
    /// A token is left if the bucket is full within this time: that of `burst - 1` tokens.
    tolerance: u64,
}

impl Gcra {
    pub(crate) fn new(bucket: TokenBucket) -> Self {
        let rate = bucket.rate();
        // Rounded up, so that the rate is never exceeded.
        let interval = ticks(rate.period()).div_ceil(rate.requests());
        Self {
            interval,
            tolerance: interval.saturating_mul(bucket.burst() - 1),
        }
    }

    /// Takes a token: returns the next state, or if there is no token the time when there is one.
    #[inline]
    pub(crate) fn take(&self, full_at: u64, now: u64) -> Result<u64, u64> {
        let earliest = full_at.saturating_sub(self.tolerance);
        if earliest > now {
            return Err(earliest);
        }
        Ok(full_at.max(now).saturating_add(self.interval))
    }

    /// Returns a token that was not used, and taken since the bucket was last full.
    pub(super) const fn give_back(&self, full_at: u64) -> u64 {
        full_at.saturating_sub(self.interval)
    }
}

/// Returns the ticks of a duration: a sixteenth of a nanosecond, so that the interval of a million requests per second is exact
/// within 1/16,000.
#[inline]
pub(crate) fn ticks(duration: Duration) -> u64 {
    let nanos = duration.as_secs().saturating_mul(1_000_000_000);
    nanos
        .saturating_add(u64::from(duration.subsec_nanos()))
        .saturating_mul(TICKS)
}

/// Returns the duration of a number of ticks, rounded up.
pub(crate) const fn duration(ticks: u64) -> Duration {
    Duration::from_nanos(ticks.div_ceil(TICKS))
}

const TICKS: u64 = 16;

#[cfg(all(test, not(tower_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::super::Rate;
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn bucket(requests: u64, period: Duration, burst: u64) -> Gcra {
        Gcra::new(TokenBucket::new(Rate::new(requests, period), burst))
    }

    #[test]
    fn a_full_bucket_has_the_burst_and_then_one_token_per_interval() {
        let gcra = bucket(1, 10 * MS, 3);
        let (mut state, now) = (0, ticks(70 * MS));
        for _ in 0..3 {
            state = gcra.take(state, now).unwrap();
        }
        assert_eq!(gcra.take(state, now), Err(ticks(80 * MS)));
        assert_eq!(gcra.take(state, ticks(80 * MS) - 1), Err(ticks(80 * MS)));
        state = gcra.take(state, ticks(80 * MS)).unwrap();
        assert_eq!(gcra.take(state, ticks(80 * MS)), Err(ticks(90 * MS)));
    }

    #[test]
    fn extreme_parameters_do_not_overflow() {
        for (requests, period) in [
            (u64::MAX, MS),
            (1, Duration::MAX),
            (u64::MAX, Duration::MAX),
        ] {
            for burst in [1, u64::MAX] {
                let gcra = bucket(requests, period, burst);
                let mut state = 0;
                for now in [0, 1, u64::MAX / 2, u64::MAX] {
                    state = gcra.take(state, now).unwrap_or(state);
                }
            }
        }
    }

    proptest! {
        /// The naive bucket has a number of tokens, of which parts are added.
        #[test]
        fn it_gives_out_the_tokens_of_a_naive_bucket(
            interval in 1..50_u64,
            burst in 1..20_u64,
            steps in prop::collection::vec(prop_oneof![Just(0), 0..40_u64], 1..500),
        ) {
            let gcra = bucket(1, Duration::from_millis(interval), burst);
            let (mut state, mut now) = (0, 0);
            // In parts of a token: `interval` of them per token, one per millisecond.
            let mut parts = burst * interval;
            for step in steps {
                now += step;
                parts = (parts + step).min(burst * interval);
                let at = ticks(Duration::from_millis(now));
                match gcra.take(state, at) {
                    Ok(next) => {
                        prop_assert!(parts >= interval);
                        parts -= interval;
                        state = next;
                    }
                    Err(earliest) => {
                        prop_assert!(parts < interval);
                        let missing = Duration::from_millis(interval - parts);
                        prop_assert_eq!(duration(earliest - at), missing);
                    }
                }
            }
        }
    }
}

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use tokio::time::Instant;

use super::Rate;
use super::gcra::{self, Gcra, ticks};
use super::tickets::Reservation;
use crate::error::InvalidLimit;
use crate::sync::AtomicU64;

/// A rate with a burst of its own: a bucket holds up to `burst` tokens, of which each request takes one, and `rate` tokens are
/// added continuously.
///
/// A [`Rate`] alone permits all requests of a period at once, and then none until the period is over. With a token bucket the
/// requests are spaced evenly once the burst is used up: 100 requests per second with a burst of 10 are ten at once, then one
/// every ten milliseconds. In any period there are at most `rate + burst` requests.
///
/// ```
/// use std::time::Duration;
/// use tower_limit::RateLimitLayer;
/// use tower_limit::rate::{Rate, TokenBucket};
///
/// let bucket = TokenBucket::new(Rate::new(100, Duration::from_secs(1)), 10);
/// let layer = RateLimitLayer::token_bucket(bucket);
/// # let _ = layer;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    rate: Rate,
    burst: u64,
}

impl TokenBucket {
    /// Creates a bucket of `burst` tokens, to which `rate` is added.
    ///
    /// # Panics
    ///
    /// If `burst` is zero.
    pub const fn new(rate: Rate, burst: u64) -> Self {
        assert!(burst > 0, "a token bucket needs a burst of at least one");
        Self { rate, burst }
    }

    /// Creates a bucket of `burst` tokens, to which `rate` is added.
    ///
    /// # Errors
    ///
    /// If `burst` is zero.
    pub const fn try_new(rate: Rate, burst: u64) -> Result<Self, InvalidLimit> {
        if burst == 0 {
            return Err(InvalidLimit::NoBurst);
        }
        Ok(Self { rate, burst })
    }

    /// Returns the rate at which tokens are added.
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// Returns the maximum number of tokens.
    pub const fn burst(&self) -> u64 {
        self.burst
    }
}

/// A bucket that is shared without a lock. Alone in its cache lines, as all handles of the limit write it.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct SharedBucket {
    gcra: Gcra,
    start: Instant,
    /// The state of [`Gcra`], in ticks since `start`.
    full_at: AtomicU64,
    /// How often a token was taken of a full bucket. A reservation that is older is not returned: the bucket has been full
    /// since, so the token has been added already, and returning it would add it twice. While the bucket is full and none has
    /// been taken since, returning one changes nothing.
    ///
    /// Incremented before the exchange of `full_at` that it is for. Whoever sees that exchange sees the increment.
    times_full: AtomicU64,
}

impl SharedBucket {
    pub(super) fn new(bucket: TokenBucket, now: Instant) -> Self {
        Self {
            gcra: Gcra::new(bucket),
            start: now,
            full_at: AtomicU64::new(0),
            times_full: AtomicU64::new(0),
        }
    }

    /// Takes a token, or returns when there will be one.
    #[inline]
    pub(super) fn take(&self, now: Instant) -> Result<Reservation, Instant> {
        let now = self.since_start(now);
        let mut full_at = self.full_at.load(Acquire);
        loop {
            let next = match self.gcra.take(full_at, now) {
                Ok(next) => next,
                Err(earliest) => return Err(self.instant(earliest)),
            };
            let batch = if full_at <= now {
                self.times_full.fetch_add(1, Relaxed) + 1
            } else {
                self.times_full.load(Relaxed)
            };
            match self
                .full_at
                .compare_exchange_weak(full_at, next, AcqRel, Acquire)
            {
                Ok(_) => return Ok(Reservation { batch }),
                Err(other) => full_at = other,
            }
        }
    }

    /// Returns when there is a token, if there is none now.
    pub(super) fn peek(&self, now: Instant) -> Result<(), Instant> {
        let taken = self
            .gcra
            .take(self.full_at.load(Acquire), self.since_start(now));
        taken.map(|_| ()).map_err(|earliest| self.instant(earliest))
    }

    /// Returns a token that was not used.
    pub(super) fn give_back(&self, taken: &Reservation) {
        let mut full_at = self.full_at.load(Acquire);
        while self.times_full.load(Relaxed) == taken.batch {
            let next = self.gcra.give_back(full_at);
            match self
                .full_at
                .compare_exchange_weak(full_at, next, AcqRel, Acquire)
            {
                Ok(_) => return,
                Err(other) => full_at = other,
            }
        }
    }

    fn since_start(&self, now: Instant) -> u64 {
        ticks(now.saturating_duration_since(self.start))
    }

    fn instant(&self, ticks: u64) -> Instant {
        self.start + gcra::duration(ticks)
    }
}

#[cfg(all(test, not(tower_loom)))]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_token_that_has_been_added_again_is_not_returned() {
        let start = Instant::now();
        let bucket = TokenBucket::new(Rate::new(1, MS), 2);
        let bucket = SharedBucket::new(bucket, start);
        let first = bucket.take(start).unwrap();
        let second = bucket.take(start).unwrap();
        bucket.give_back(&first);
        // Full again at 1 ms, because the first was returned.
        let third = bucket.take(start + MS).unwrap();
        bucket.give_back(&second);
        let _fourth = bucket.take(start + MS).unwrap();
        assert_eq!(bucket.take(start + MS).unwrap_err(), start + 2 * MS);
        bucket.give_back(&third);
        assert!(bucket.take(start + MS).is_ok());
        assert!(bucket.take(start + MS).is_err());
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Wait(u64),
        Take,
        Send(usize),
        Return(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..30_u64).prop_map(Step::Wait),
            Just(Step::Take),
            Just(Step::Take),
            any::<usize>().prop_map(Step::Send),
            any::<usize>().prop_map(Step::Return),
        ]
    }

    proptest! {
        /// A naive bucket of parts of tokens, in which what is reserved is missing until it is returned.
        #[test]
        fn tokens_are_returned_exactly_if_the_bucket_has_not_been_full_since(
            interval in 1..30_u64,
            burst in 1..8_u64,
            steps in prop::collection::vec(step(), 1..200),
        ) {
            let start = Instant::now();
            let rate = Rate::new(1, Duration::from_millis(interval));
            let bucket = SharedBucket::new(TokenBucket::new(rate, burst), start);
            let (full, mut parts, mut times_full, mut now) = (burst * interval, burst * interval, 0, start);
            let mut reserved: Vec<(Reservation, u64)> = Vec::new();
            for step in steps {
                match step {
                    Step::Wait(time) => {
                        now += Duration::from_millis(time);
                        parts = (parts + time).min(full);
                        times_full += u64::from(parts == full);
                    }
                    Step::Take => {
                        let taken = bucket.take(now);
                        prop_assert_eq!(taken.is_ok(), parts >= interval);
                        if let Ok(taken) = taken {
                            parts -= interval;
                            reserved.push((taken, times_full));
                        }
                    }
                    Step::Send(which) if !reserved.is_empty() => {
                        reserved.swap_remove(which % reserved.len());
                    }
                    Step::Return(which) if !reserved.is_empty() => {
                        let (taken, at) = reserved.swap_remove(which % reserved.len());
                        bucket.give_back(&taken);
                        if at == times_full {
                            parts = (parts + interval).min(full);
                            times_full += u64::from(parts == full);
                        }
                    }
                    Step::Send(_) | Step::Return(_) => {}
                }
                prop_assert_eq!(bucket.peek(now).is_ok(), parts >= interval);
            }
        }
    }

    #[test]
    fn threads_together_take_no_more_than_the_burst() {
        let start = Instant::now();
        let hour = Duration::from_secs(3600);
        let bucket = SharedBucket::new(TokenBucket::new(Rate::new(1, hour), 1000), start);
        let taken: usize = std::thread::scope(|scope| {
            let take = || (0..600).filter(|_| bucket.take(start).is_ok()).count();
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(take)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(taken, 1000);
    }
}

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use std::sync::Arc;
    use std::time::Duration;

    use loom::thread;

    use super::*;

    /// A token is returned while another thread takes one of the bucket, which is full again: it is not added twice.
    #[test]
    fn a_token_is_not_added_twice() {
        loom::model(|| {
            let (start, hour) = (Instant::now(), Duration::from_secs(3600));
            let bucket = TokenBucket::new(Rate::new(1, hour), 1);
            let bucket = Arc::new(SharedBucket::new(bucket, start));
            let taken = bucket.take(start).unwrap();
            let other = Arc::clone(&bucket);
            let thread = thread::spawn(move || other.take(start + hour).is_ok());
            bucket.give_back(&taken);
            assert!(thread.join().unwrap());
            assert!(bucket.take(start + hour).is_err());
        });
    }
}

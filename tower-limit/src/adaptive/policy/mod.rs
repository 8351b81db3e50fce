//! What decides the limit: a [`Limit`], and four of them.

mod aimd;
mod bounds;
mod gradient;
mod gradient2;
mod histogram;
mod vegas;
mod windowed;

use std::time::Duration;

use tokio::time::Instant;

pub use self::aimd::{Aimd, AimdConfig};
pub use self::gradient::{Gradient, GradientConfig};
pub use self::gradient2::{Gradient2, Gradient2Config};
pub use self::vegas::{Vegas, VegasConfig};
pub use self::windowed::Windowed;

/// Decides how many requests may be in flight, from how long they take.
///
/// It is pure: the time is an argument, and it learns only of requests that have ended. It is called while a lock is held, so it
/// must be fast.
///
/// # Example
///
/// A limit that follows Little's law: as many requests as arrive, at a given rate, in the time that one takes.
///
/// ```
/// use std::time::Duration;
/// use tokio::time::Instant;
/// use tower_limit::adaptive::Limit;
///
/// struct Little {
///     per_second: f64,
///     limit: usize,
/// }
///
/// impl Limit for Little {
///     fn sample(&mut self, _now: Instant, rtt: Duration, _in_flight: usize, dropped: bool) {
///         if !dropped {
///             self.limit = (self.per_second * rtt.as_secs_f64()).ceil() as usize;
///         }
///     }
///
///     fn limit(&self) -> usize {
///         self.limit
///     }
/// }
///
/// let mut little = Little { per_second: 200.0, limit: 10 };
/// little.sample(Instant::now(), Duration::from_millis(25), 4, false);
/// assert_eq!(little.limit(), 5);
/// ```
pub trait Limit {
    /// Learns of a request that has ended at `now`, and took `rtt` from the call to the response. `in_flight` requests were in
    /// flight when it ended, itself included. `dropped` says that it failed because the service is overloaded, or was given up:
    /// then `rtt` is not how long the service takes.
    fn sample(&mut self, now: Instant, rtt: Duration, in_flight: usize, dropped: bool);

    /// Returns the limit. The service takes 0 for 1.
    fn limit(&self) -> usize;
}

impl<L: Limit + ?Sized> Limit for Box<L> {
    fn sample(&mut self, now: Instant, rtt: Duration, in_flight: usize, dropped: bool) {
        (**self).sample(now, rtt, in_flight, dropped);
    }

    fn limit(&self) -> usize {
        (**self).limit()
    }
}

/// Returns whether at least half of `limit` is in use. If not, low latencies say nothing about a higher limit.
fn is_used(limit: f64, in_flight: usize) -> bool {
    in_flight as f64 * 2.0 >= limit
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FLOOR: usize = 4;
    const CEILING: usize = 60;

    /// All policies with these bounds, which begin at 20.
    fn policies() -> Vec<Box<dyn Limit>> {
        let limits = FLOOR..=CEILING;
        let aimd = AimdConfig::default()
            .limits(limits.clone())
            .initial(20)
            .timeout(ms(150));
        let gradient = GradientConfig::default().limits(limits.clone()).seed(1);
        let gradient2 = Gradient2Config::default().limits(limits.clone());
        let vegas =
            || Vegas::try_new(VegasConfig::default().limits(limits.clone()).seed(1)).unwrap();
        vec![
            Box::new(Aimd::try_new(aimd).unwrap()),
            Box::new(Gradient::try_new(gradient).unwrap()),
            Box::new(Gradient2::try_new(gradient2).unwrap()),
            Box::new(vegas()),
            Box::new(Windowed::try_new(vegas(), ms(10)).unwrap()),
        ]
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Passes on one response each millisecond, which took `latency(n)` with as many requests in flight as the limit.
    fn load(policy: &mut dyn Limit, now: &mut Instant, latency: impl Fn(i32) -> Duration) {
        for number in 0..600 {
            *now += ms(1);
            let in_flight = policy.limit();
            policy.sample(*now, latency(number), in_flight, false);
        }
    }

    #[test]
    fn rise_while_latency_stays_and_fall_while_it_grows() {
        for (number, mut policy) in policies().into_iter().enumerate() {
            let mut now = Instant::now();
            load(&mut *policy, &mut now, |_| ms(10));
            assert_eq!(policy.limit(), CEILING, "policy {number}");
            load(&mut *policy, &mut now, |number| {
                ms(10).mul_f64(1.015_f64.powi(number))
            });
            assert!(policy.limit() < 20, "policy {number}: {}", policy.limit());
        }
    }

    #[test]
    fn fall_to_the_floor_if_all_requests_are_dropped() {
        for (number, mut policy) in policies().into_iter().enumerate() {
            let mut now = Instant::now();
            load(&mut *policy, &mut now, |_| ms(10));
            for _ in 0..5000 {
                now += ms(1);
                policy.sample(now, ms(1), policy.limit(), true);
            }
            assert_eq!(policy.limit(), FLOOR, "policy {number}");
        }
    }

    proptest! {
        #[test]
        fn stay_between_floor_and_ceiling(
            samples in prop::collection::vec(
                (0_u64..3_000_000_000, 0_u64..500_000_000, 0_usize..200, prop::bool::weighted(0.1)),
                0..300,
            ),
        ) {
            for mut policy in policies() {
                let mut now = Instant::now();
                for &(latency, gap, in_flight, dropped) in &samples {
                    now += Duration::from_nanos(gap);
                    policy.sample(now, Duration::from_nanos(latency), in_flight, dropped);
                    prop_assert!((FLOOR..=CEILING).contains(&policy.limit()));
                }
            }
        }

        /// However long, early or late: the arithmetic does not overflow, and no limit becomes infinite or not a number.
        #[test]
        fn survive_any_sample(
            samples in prop::collection::vec((any::<u64>(), 0_u64..1 << 40, any::<usize>(), any::<bool>()), 0..100),
        ) {
            for mut policy in policies() {
                let mut now = Instant::now();
                for &(latency, gap, in_flight, dropped) in &samples {
                    now += Duration::from_nanos(gap);
                    policy.sample(now, Duration::from_secs(latency), in_flight, dropped);
                    prop_assert!((FLOOR..=CEILING).contains(&policy.limit()));
                }
            }
        }
    }
}

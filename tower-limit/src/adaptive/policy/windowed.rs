use std::time::Duration;

use tokio::time::Instant;
use tower_util::InvalidPolicy;

use super::Limit;

/// Passes on to a policy the average latency of an interval, instead of each latency.
///
/// Use it with a [`Vegas`](super::Vegas) if the requests differ in how long they take, as most do: it looks at single latencies, and
/// takes one that is long by itself for a queue. A `Gradient2` and a `Gradient` average by themselves, and an `Aimd` has a timeout for
/// single requests.
///
/// # Implementation notes
///
/// As `WindowedLimit` of Netflix's [concurrency-limits](https://github.com/Netflix/concurrency-limits): an interval ends with
/// the first response after its time, if there were ten. The greatest number of requests in flight is passed on, and whether any
/// was dropped. There the interval depends on the latency, from 1 second on. Here it is given.
#[derive(Clone, Debug)]
pub struct Windowed<L> {
    policy: L,
    interval: Duration,
    /// When the interval ends. `None` before the first response.
    ends: Option<Instant>,
    window: Window,
}

#[derive(Clone, Debug, Default)]
struct Window {
    /// Of the requests that were not dropped.
    latencies: Duration,
    responses: u32,
    drops: u32,
    most: usize,
}

impl<L: Limit> Windowed<L> {
    /// Passes averages over `interval` on to `policy`.
    ///
    /// # Errors
    ///
    /// If `interval` is zero, or longer than a year.
    pub fn try_new(policy: L, interval: Duration) -> Result<Self, InvalidPolicy> {
        InvalidPolicy::ensure(
            !interval.is_zero() && interval <= LONGEST,
            "the interval of a limit is more than zero, and at most a year",
        )?;
        Ok(Self {
            policy,
            interval,
            ends: None,
            window: Window::default(),
        })
    }
}

impl<L: Limit> Limit for Windowed<L> {
    fn sample(&mut self, now: Instant, rtt: Duration, in_flight: usize, dropped: bool) {
        let window = &mut self.window;
        window.most = window.most.max(in_flight);
        if dropped {
            window.drops = window.drops.saturating_add(1);
        } else {
            window.latencies = window.latencies.saturating_add(rtt);
            window.responses = window.responses.saturating_add(1);
        }
        let ends = *self.ends.get_or_insert(now + self.interval);
        if now < ends || window.responses.saturating_add(window.drops) < FEWEST {
            return;
        }
        let Window {
            latencies,
            responses,
            drops,
            most,
        } = std::mem::take(window);
        self.ends = Some(now + self.interval);
        let average = latencies.checked_div(responses).unwrap_or_default();
        self.policy.sample(now, average, most, drops > 0);
    }

    fn limit(&self) -> usize {
        self.policy.limit()
    }
}

/// An average of fewer requests is left to chance.
const FEWEST: u32 = 10;
const LONGEST: Duration = Duration::from_secs(60 * 60 * 24 * 365);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Records what is passed on.
    #[derive(Default)]
    struct Samples(Vec<(Duration, usize, bool)>);

    impl Limit for Samples {
        fn sample(&mut self, _now: Instant, rtt: Duration, in_flight: usize, dropped: bool) {
            self.0.push((rtt, in_flight, dropped));
        }

        fn limit(&self) -> usize {
            self.0.len()
        }
    }

    #[test]
    fn passes_on_the_average_of_at_least_ten() {
        let mut limit = Windowed::try_new(Samples::default(), SECOND).unwrap();
        let start = Instant::now();
        for millis in 1..=8 {
            limit.sample(start, Duration::from_millis(millis), millis as usize, false);
        }
        limit.sample(start + SECOND, Duration::from_millis(9), 2, false);
        assert_eq!(limit.limit(), 0);
        limit.sample(start + SECOND, SECOND, 1, true);
        let average = Duration::from_millis(5);
        assert_eq!(limit.policy.0, [(average, 8, true)]);

        for _ in 0..20 {
            limit.sample(start + SECOND, SECOND, 1, false);
        }
        limit.sample(start + 2 * SECOND, SECOND, 3, false);
        assert_eq!(limit.policy.0[1..], [(SECOND, 3, false)]);
    }

    #[test]
    fn an_interval_with_nothing_but_drops_is_passed_on() {
        let mut limit = Windowed::try_new(Samples::default(), SECOND).unwrap();
        let start = Instant::now();
        for _ in 0..9 {
            limit.sample(start, SECOND, 1, true);
        }
        limit.sample(start + SECOND, SECOND, 1, true);
        assert_eq!(limit.policy.0, [(Duration::ZERO, 1, true)]);
    }

    #[test]
    fn an_interval_must_be_longer_than_zero() {
        assert!(Windowed::try_new(Samples::default(), Duration::ZERO).is_err());
        assert!(Windowed::try_new(Samples::default(), Duration::MAX).is_err());
    }
}

use std::time::Duration;

use tokio::time::Instant;

use super::InvalidPolicy;

/// The size of a random aperture, chosen so that each endpoint has about one of the client's requests in flight.
///
/// For clients that do not know how many clients there are; otherwise use [`Aperture`](super::Aperture). Each client
/// should order the endpoints differently and use the first ones. With each change of the requests in flight, the
/// aperture widens by one if their smoothed average per endpoint is above the band, and narrows by one if it is below.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use tokio::time::Instant;
/// use tower_balance::policy::LoadBand;
///
/// let start = Instant::now();
/// let mut band = LoadBand::new(start);
/// let mut aperture = 1;
/// for second in 0..600 {
///     // Nine requests are in flight all the time, and there are a hundred endpoints.
///     aperture = band.update(9, 100, start + Duration::from_secs(second));
/// }
/// assert_eq!(aperture, 8);
/// ```
#[derive(Debug, Clone)]
pub struct LoadBand {
    low: f64,
    high: f64,
    smoothing: f64,
    min: usize,
    aperture: usize,
    average: f64,
    /// The number of requests in flight since `at`.
    in_flight: usize,
    at: Instant,
}

impl LoadBand {
    /// Creates a load band with the defaults of Finagle: 0.875 to 1.125 requests per endpoint, smoothed over 15
    /// seconds.
    pub fn new(now: Instant) -> Self {
        Self {
            low: 0.875,
            high: 1.125,
            smoothing: 15.0,
            min: 1,
            aperture: 1,
            average: 0.0,
            in_flight: 0,
            at: now,
        }
    }

    /// Sets the band, in requests per endpoint.
    ///
    /// # Errors
    ///
    /// If `0 <= low < high` does not hold, or one of them is not finite.
    pub fn band(self, low: f64, high: f64) -> Result<Self, InvalidPolicy> {
        let valid = low >= 0.0 && low < high && high.is_finite();
        InvalidPolicy::ensure(
            valid,
            "the band must be two numbers of at least 0, the lower one first",
        )?;
        Ok(Self { low, high, ..self })
    }

    /// Sets the time constant of the smoothing: after this time, the average has followed two thirds (1 - 1/e) of a
    /// change. By default 15 seconds. With zero there is no smoothing.
    pub fn smoothing(self, time: Duration) -> Self {
        Self {
            smoothing: time.as_secs_f64(),
            ..self
        }
    }

    /// Sets the minimum aperture. By default 1; 0 counts as 1.
    pub fn min_aperture(self, min: usize) -> Self {
        let min = min.max(1);
        Self {
            min,
            aperture: self.aperture.max(min),
            ..self
        }
    }

    /// Updates the aperture; call it whenever a request begins or ends. `in_flight` is the number of requests from
    /// `now` on, and `endpoints` the number of endpoints. Returns how many endpoints to use, which is 0 if there are
    /// none.
    pub fn update(&mut self, in_flight: usize, endpoints: usize, now: Instant) -> usize {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        if elapsed > 0.0 {
            let weight = (-elapsed / self.smoothing).exp();
            self.average = self.average * weight + self.in_flight as f64 * (1.0 - weight);
            self.at = now;
        }
        self.in_flight = in_flight;
        if endpoints == 0 {
            return 0;
        }
        let most = endpoints;
        let least = self.min.min(most);
        let aperture = self.aperture.clamp(least, most);
        let load = self.average / aperture as f64;
        self.aperture = if load >= self.high {
            (aperture + 1).min(most)
        } else if load <= self.low {
            (aperture - 1).max(least)
        } else {
            aperture
        };
        self.aperture
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn invalid_bands_are_rejected() {
        for (low, high) in [
            (1.0, 1.0),
            (2.0, 1.0),
            (-1.0, 1.0),
            (f64::NAN, 1.0),
            (0.0, f64::INFINITY),
        ] {
            assert!(
                LoadBand::new(Instant::now()).band(low, high).is_err(),
                "{low} {high}"
            );
        }
    }

    #[test]
    fn a_short_peak_does_not_widen_the_aperture() {
        let start = Instant::now();
        let mut band = LoadBand::new(start);
        band.update(10, 50, start);
        assert_eq!(
            band.update(0, 50, start + SECOND),
            1,
            "ten requests for a second are 0.65 on average"
        );
        band.update(30, 50, start + SECOND);
        assert_eq!(band.update(0, 50, start + 2 * SECOND), 2);
    }

    #[test]
    fn the_aperture_narrows_when_requests_end() {
        let start = Instant::now();
        let mut band = LoadBand::new(start);
        let run = |band: &mut LoadBand, in_flight, from: u32, to: u32| {
            (from..to)
                .map(|second| band.update(in_flight, 50, start + second * SECOND))
                .last()
                .unwrap()
        };
        assert_eq!(run(&mut band, 20, 0, 300), 18);
        assert_eq!(run(&mut band, 0, 300, 600), 1);
        let mut band = band.min_aperture(12);
        assert_eq!(run(&mut band, 0, 600, 700), 12);
    }

    #[test]
    fn the_aperture_follows_the_number_of_endpoints() {
        let start = Instant::now();
        let mut band = LoadBand::new(start).min_aperture(12);
        assert_eq!(band.update(1, 0, start), 0);
        assert_eq!(band.update(1, 5, start), 5);
        assert_eq!(band.update(1, 50, start), 12);
    }

    #[test]
    fn without_smoothing_the_aperture_follows_immediately() {
        let start = Instant::now();
        let mut band = LoadBand::new(start).smoothing(Duration::ZERO);
        band.update(9, 50, start);
        assert_eq!(band.update(9, 50, start + SECOND), 2);
        assert_eq!(
            band.update(9, 50, start - SECOND),
            3,
            "a clock that steps back is harmless"
        );
    }

    proptest! {
        /// With the tolerance of Finagle's own test.
        #[test]
        fn the_aperture_settles_at_the_end_of_the_band(in_flight in 1_usize..100) {
            let start = Instant::now();
            let mut band = LoadBand::new(start);
            let last = (0..1000).map(|second| band.update(in_flight, 1000, start + second * SECOND)).last();
            let distance = in_flight as f64 / 1.125 - last.unwrap() as f64;
            prop_assert!(distance.abs() <= 1.0, "{last:?}");
        }

        #[test]
        fn the_aperture_is_at_most_the_number_of_endpoints(
            updates in prop::collection::vec((any::<usize>(), 0_usize..50, 0_u64..100_000), 0..100),
        ) {
            let mut now = Instant::now();
            let mut band = LoadBand::new(now);
            for (in_flight, endpoints, millis) in updates {
                now += Duration::from_millis(millis);
                let aperture = band.update(in_flight, endpoints, now);
                prop_assert!(aperture <= endpoints && (aperture > 0 || endpoints == 0));
            }
        }
    }
}

use std::time::Duration;

use super::InvalidPolicy;

/// Slow start: gives a new endpoint a fraction of its weight at first, so that its caches and connections can warm up.
///
/// It has no effect if all endpoints are equally new, or if there is only one.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use tower_health::policy::SlowStart;
///
/// let slow_start = SlowStart::new(Duration::from_secs(60));
/// assert_eq!(slow_start.factor(Duration::from_secs(0)), 0.1);
/// assert_eq!(slow_start.factor(Duration::from_secs(30)), 0.5);
/// assert_eq!(slow_start.factor(Duration::from_secs(90)), 1.0);
/// ```
///
/// # Implementation notes
///
/// As in Envoy: `max(least, (max(age, 1 s) / window)^(1 / aggression))`.
#[derive(Debug, Clone)]
pub struct SlowStart {
    window: Duration,
    least: f64,
    aggression: f64,
}

impl SlowStart {
    /// Increases the weight of an endpoint linearly, to its full weight after `window`.
    pub fn new(window: Duration) -> Self {
        Self {
            window,
            least: 0.1,
            aggression: 1.0,
        }
    }

    /// Sets the minimum fraction. By default 0.1.
    ///
    /// # Errors
    ///
    /// If it is not from 0 to 1.
    pub fn least(self, least: f64) -> Result<Self, InvalidPolicy> {
        InvalidPolicy::ensure(
            (0.0..=1.0).contains(&least),
            "the minimum weight must be a number from 0 to 1",
        )?;
        Ok(Self { least, ..self })
    }

    /// Sets how the weight grows: above 1.0 faster at first, below 1.0 faster at the end. By default 1.0.
    ///
    /// # Errors
    ///
    /// If it is not finite and greater than 0.
    pub fn aggression(self, aggression: f64) -> Result<Self, InvalidPolicy> {
        let sane = aggression > 0.0 && aggression.is_finite();
        InvalidPolicy::ensure(
            sane,
            "the aggression must be a finite number greater than 0",
        )?;
        Ok(Self { aggression, ..self })
    }

    /// Returns the factor for the weight of an endpoint that was added, or returned, `age` ago.
    pub fn factor(&self, age: Duration) -> f64 {
        let age = age.max(YOUNGEST);
        if age >= self.window {
            return 1.0;
        }
        let part = age.as_secs_f64() / self.window.as_secs_f64();
        part.powf(1.0 / self.aggression).max(self.least)
    }
}

const YOUNGEST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slow_start() -> SlowStart {
        SlowStart::new(Duration::from_secs(60))
    }

    #[test]
    fn the_weight_grows_as_in_envoy() {
        for (aggression, age, expected) in [
            (1.0, 15, 0.25),
            (1.0, 30, 0.5),
            (1.0, 0, 0.1),
            (2.0, 15, 0.5),
            (2.0, 6, 0.316),
            (2.0, 0, 0.129),
            (0.5, 30, 0.25),
        ] {
            let slow_start = slow_start().aggression(aggression).unwrap();
            let factor = slow_start.factor(Duration::from_secs(age));
            assert!(
                (factor - expected).abs() < 1e-3,
                "{aggression} {age}: {factor}"
            );
        }
    }

    #[test]
    fn parameters_out_of_range_are_rejected() {
        for value in [-0.1, 1.1, f64::NAN] {
            assert!(slow_start().least(value).is_err(), "{value}");
        }
        for value in [0.0, -1.0, f64::INFINITY, f64::NAN] {
            assert!(slow_start().aggression(value).is_err(), "{value}");
        }
        assert_eq!(SlowStart::new(Duration::ZERO).factor(Duration::ZERO), 1.0);
    }

    proptest! {
        #[test]
        fn the_factor_grows_with_the_age_from_the_minimum_to_one(
            window in any::<Duration>(), ages: [Duration; 2], least in 0.0..=1.0, aggression in 1e-9..1e9,
        ) {
            let slow_start = SlowStart::new(window).least(least).unwrap().aggression(aggression).unwrap();
            let factors = [ages[0].min(ages[1]), ages[0].max(ages[1])].map(|age| slow_start.factor(age));
            prop_assert!(least <= factors[0] && factors[0] <= factors[1] && factors[1] <= 1.0);
        }
    }
}

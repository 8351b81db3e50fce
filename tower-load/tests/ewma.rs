//! The moving average behind `PeakEwma`.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;
use tower_load::Ewma;

const TAU: Duration = Duration::from_secs(10);

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

/// The test vectors of linkerd's `ewma` and Finagle's `PeakEwma`.
#[test]
fn agrees_with_linkerd_and_finagle() {
    let start = Instant::now();
    let at = |seconds: f64| start + Duration::from_secs_f64(seconds);

    let mut ewma = Ewma::new(at(1.0), TAU, 1.0);
    assert!(close(ewma.get_at(at(6.0)), 0.606_530_659_712_633_4));
    assert!(close(
        ewma.add_peak(at(11.0), 0.0),
        0.367_879_441_171_442_33
    ));

    let mut ewma = Ewma::new(at(1.0), TAU, 10.0);
    assert!(
        close(ewma.add_peak(at(26.0), 1.0), 1.0),
        "10 has decayed to 0.82, so 1 is a peak"
    );

    let mut ewma = Ewma::new(at(1.0), TAU, 10.0);
    let average = ewma.add_peak(at(1.1), 1.0);
    assert!(9.0 < average && average < 10.0, "{average}");

    let ewma = Ewma::new(at(0.0), Duration::from_secs(1), 10.0);
    assert!((ewma.get_at(at(0.1)) - 9.048).abs() < 1e-3);
    assert!((ewma.get_at(at(0.2)) - 8.187).abs() < 1e-3);
}

#[test]
fn invalid_samples_and_earlier_times_are_harmless() {
    let start = Instant::now() + Duration::from_secs(100);
    let mut ewma = Ewma::new(start, Duration::ZERO, f64::NAN);
    assert_eq!(ewma.get_at(start), 0.0);
    assert_eq!(ewma.add_peak(start, f64::NAN), 0.0);
    assert_eq!(ewma.add_peak(start, -1.0), 0.0);
    assert_eq!(ewma.add_peak(start - Duration::from_secs(50), 3.0), 3.0);
    assert_eq!(
        ewma.get_at(start),
        3.0,
        "a clock that stepped back does not age the value"
    );
}

/// A sample that no request can have, from a user's own measurement, counts as a peak and decays like any other.
#[test]
fn every_sample_decays() {
    let start = Instant::now();
    for odd in [
        f64::INFINITY,
        f64::MAX,
        1e300,
        f64::NEG_INFINITY,
        f64::NAN,
        -f64::NAN,
        -1e300,
        f64::MIN_POSITIVE,
        0.0,
    ] {
        let mut first = Ewma::new(start, TAU, odd);
        let mut later = Ewma::new(start, TAU, 1.0);
        let peak = later.add_peak(start + TAU / 10, odd);
        assert!(peak.is_finite() && peak >= 0.9, "{odd}: {peak}");
        for ewma in [&mut first, &mut later] {
            assert!(ewma.get_at(start).is_finite(), "{odd}");
            let mut now = start;
            // Samples of 1 for ten minutes.
            for _ in 0..600 {
                now += TAU / 10;
                ewma.add_peak(now, 1.0);
            }
            let settled = ewma.get_at(now);
            assert!((1.0..2.5).contains(&settled), "{odd}: {settled}");
            assert!(ewma.get_at(now + 100 * TAU) < 1e-9, "{odd}");
        }
    }
}

/// The estimate follows later samples, whether the clock went back or forth.
#[test]
fn a_clock_that_jumps_is_harmless() {
    let start = Instant::now() + Duration::from_secs(1_000_000);
    let mut ewma = Ewma::new(start, TAU, 1.0);
    ewma.add_peak(start - Duration::from_secs(500_000), 3.0);
    ewma.add_peak(start + Duration::from_secs(3_000_000_000), 5.0);
    ewma.add_peak(start, 7.0);
    let later = start + Duration::from_secs(3_000_000_000) + 3 * TAU;
    let decayed = 7.0 * (-3.0_f64).exp();
    assert!((ewma.get_at(later) - decayed).abs() < 1e-9);
    ewma.add_peak(later, f64::INFINITY);
    assert!(ewma.get_at(later + 100 * TAU) < 1e-9);
}

proptest! {
    #[test]
    fn stays_between_zero_and_the_largest_sample(
        samples in prop::collection::vec((0_u64..100_000, 0.0_f64..1e9), 1..100),
    ) {
        let mut now = Instant::now();
        let mut ewma = Ewma::new(now, TAU, 0.0);
        let mut largest = 0.0_f64;
        for (millis, sample) in samples {
            now += Duration::from_millis(millis);
            largest = largest.max(sample);
            let value = ewma.add_peak(now, sample);
            prop_assert!(value >= sample.min(largest) * (1.0 - 1e-12) && value <= largest);
            prop_assert!(ewma.get_at(now + Duration::from_secs(1)) <= value);
            prop_assert_eq!(ewma.get_at(now), value);
        }
    }
}

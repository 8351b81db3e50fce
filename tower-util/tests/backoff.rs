//! Backoffs double, stay within their bounds, and have independent jitter.
#![cfg(feature = "backoff")]

use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;
use tower_util::backoff::{ExponentialBackoffMaker, MakeBackoff};
use tower_util::rng::HasherRng;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_invalid_parameter_is_named_in_the_error() {
    for (min, max, jitter, reason) in [
        (2 * SECOND, SECOND, 0.5, "minimum"),
        (Duration::ZERO, Duration::ZERO, 0.5, "more than zero"),
        (SECOND, SECOND, -0.1, "jitter"),
        (SECOND, SECOND, 100.1, "jitter"),
        (SECOND, SECOND, f64::NAN, "jitter"),
        (SECOND, SECOND, f64::INFINITY, "jitter"),
    ] {
        let error = ExponentialBackoffMaker::new(min, max, jitter, HasherRng::new()).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
}

/// C19: in tower 0.5 all backoffs of a process have the same jitter.
#[test]
fn each_sequence_has_its_own_jitter_including_clones() {
    let maker = ExponentialBackoffMaker::new(SECOND, 60 * SECOND, 0.99, HasherRng::new()).unwrap();
    let first: HashSet<_> = (0..100)
        .map(|_| maker.clone().make_backoff().next_delay())
        .collect();
    assert!(first.len() > 90, "{} of 100 differ", first.len());
}

/// C20: tower 0.5 truncates the jitter to whole seconds.
#[test]
fn jitter_fills_its_range() {
    let mut maker =
        ExponentialBackoffMaker::new(SECOND, 60 * SECOND, 0.99, HasherRng::new()).unwrap();
    let delays: Vec<_> = (0..1000)
        .map(|_| maker.make_backoff().next_delay())
        .collect();
    let mean = delays.iter().sum::<Duration>() / 1000;
    // 1.495 s, with a standard error of 9 ms.
    assert!(
        mean > Duration::from_millis(1400) && mean < Duration::from_millis(1590),
        "{mean:?}"
    );
}

#[test]
fn there_is_jitter_at_the_maximum() {
    let mut maker =
        ExponentialBackoffMaker::new(SECOND, 10 * SECOND, 0.5, HasherRng::new()).unwrap();
    let last = |_| {
        let mut backoff = maker.make_backoff();
        (0..20).map(|_| backoff.next_delay()).last()
    };
    assert!((0..100).map(last).collect::<HashSet<_>>().len() > 90);
}

proptest! {
    #[test]
    fn every_wait_stays_within_its_bounds(min in 0_u64.., more in 1_u64.., jitter in 0.0..=100.0, attempts in 1..200_u32) {
        let (min, max) = (Duration::from_nanos(min), Duration::from_nanos(min).saturating_add(Duration::from_secs(more)));
        let mut backoff = ExponentialBackoffMaker::new(min, max, jitter, HasherRng::new()).unwrap().make_backoff();
        for attempt in 0..attempts {
            let delay = backoff.next_delay();
            prop_assert!(delay >= min && delay <= max, "attempt {attempt}: {delay:?} is not from {min:?} to {max:?}");
        }
    }
}

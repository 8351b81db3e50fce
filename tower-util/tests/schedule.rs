//! Schedules stay within their bounds and never overflow.
#![cfg(feature = "backoff")]

use std::time::Duration;

use proptest::prelude::*;
use tower_util::Tried;
use tower_util::backoff::{Jitter, Schedule};
use tower_util::rng::{Rng, SplitMix};

const MS: Duration = Duration::from_millis(1);

/// Always draws the same number.
struct Fixed(u64);

impl Rng for Fixed {
    fn next_u64(&mut self) -> u64 {
        self.0
    }
}

const HALF: Fixed = Fixed(1 << 63);

fn three(schedule: &Schedule, rng: impl Rng) -> Vec<Duration> {
    schedule.waits(rng).take(3).collect()
}

#[test]
fn each_jitter_has_its_formula() {
    let schedule = Schedule::exponential(100 * MS, 1000 * MS);
    let waits = |jitter, rng| three(&schedule.clone().with_jitter(jitter), rng);
    assert_eq!(waits(Jitter::None, HALF), [100 * MS, 200 * MS, 400 * MS]);
    assert_eq!(waits(Jitter::Full, HALF), [50 * MS, 100 * MS, 200 * MS]);
    assert_eq!(waits(Jitter::Equal, HALF), [75 * MS, 150 * MS, 300 * MS]);
    // Halfway between 100 ms and 0, 300 and 600 ms.
    assert_eq!(
        waits(Jitter::Decorrelated, HALF),
        [100 * MS, 200 * MS, 350 * MS]
    );
    assert_eq!(waits(Jitter::Full, Fixed(0)), [Duration::ZERO; 3]);
}

#[test]
fn the_retries_end_with_the_list() {
    let schedule = Schedule::list([MS, 5 * MS]);
    assert_eq!(three(&schedule, HALF), [MS, 5 * MS]);
    let endless = Schedule::list(std::iter::repeat(MS));
    assert_eq!(endless.waits(HALF).count(), 1000);
}

#[test]
fn a_constant_stays_below_the_maximum() {
    let schedule = Schedule::constant(5 * MS);
    assert_eq!(three(&schedule, HALF), [5 * MS; 3]);
    assert_eq!(three(&schedule.with_max(MS), HALF), [MS; 3]);
    assert_eq!(three(&Schedule::none(), HALF), [Duration::ZERO; 3]);
}

#[test]
fn the_same_seed_gives_the_same_sequence() {
    let schedule = Schedule::default();
    let waits = |seed| three(&schedule, SplitMix::with_seed(seed));
    assert_eq!(waits(1), waits(1));
    assert_ne!(waits(1), waits(2));
}

#[test]
fn a_long_list_of_tried_endpoints_keeps_the_newest() {
    let tried = Tried::new();
    for endpoint in (0..20).chain([19]) {
        tried.clone().insert(endpoint);
    }
    assert_eq!(tried.len(), 16);
    assert!(!tried.contains(3) && tried.contains(4) && tried.contains(19));
}

fn jitters() -> impl Strategy<Value = Jitter> {
    prop::sample::select(&[
        Jitter::None,
        Jitter::Full,
        Jitter::Equal,
        Jitter::Decorrelated,
    ])
}

fn durations() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::MAX),
        (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(s, n)| Duration::new(s, n)),
        (0..10_000_000_000_u64).prop_map(Duration::from_nanos),
    ]
}

proptest! {
    #[test]
    fn no_wait_exceeds_the_maximum_at_any_attempt(first in durations(), max in durations(), jitter in jitters(), retries in any::<u32>(), last in durations(), seed: u64) {
        let schedule = Schedule::exponential(first, max).with_jitter(jitter);
        let wait = schedule.wait(retries, last, &mut SplitMix::with_seed(seed)).unwrap();
        prop_assert!(wait <= max);
        match jitter {
            Jitter::Decorrelated => prop_assert!(wait >= first.min(max)),
            Jitter::Equal => {
                let whole = schedule.with_jitter(Jitter::None).wait(retries, last, &mut Fixed(0)).unwrap();
                prop_assert!(wait >= whole / 2 && wait <= whole);
            }
            Jitter::None | Jitter::Full => {}
        }
    }

    #[test]
    fn without_jitter_waits_only_grow_until_the_maximum(first in durations(), max in durations(), retries in 0..1000_u32) {
        let schedule = Schedule::exponential(first, max).with_jitter(Jitter::None);
        let wait = |retries| schedule.wait(retries, Duration::ZERO, &mut Fixed(0)).unwrap();
        prop_assert!(wait(retries) <= wait(retries + 1));
        if !first.is_zero() {
            prop_assert_eq!(wait(1000), max);
        }
    }
}

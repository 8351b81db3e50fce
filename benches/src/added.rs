//! The cases of the layers that the registry's tower does not have.

use std::time::Duration;

use tower::Layer;
use tower::limit::keyed::{KeyPermits, KeyRates, KeyedLimit};
use tower::limit::rate::{Rate, TokenBucket};
use tower::limit::weighted::WeightedConcurrencyLimitLayer;
use tower::limit::{ConcurrencyLimit, RateLimit};

use crate::cases::ours::{Echo, echo_fn, many, one};
use crate::services::{current_thread, two_threads};

/// A benchmark case without a counterpart.
pub struct Added {
    pub name: &'static str,
    /// The maximum cost in nanoseconds of one caller.
    pub target: f64,
    /// Sets the case up for one caller, and returns a function that runs a given number of requests.
    pub prepare: fn() -> Box<dyn FnMut(u64)>,
    /// The same for 64 callers on two threads.
    pub many: fn() -> Box<dyn FnMut(u64)>,
}

macro_rules! added {
    ($name:literal, $target:literal, $make:expr) => {
        Added {
            name: $name,
            target: $target,
            prepare: || one(current_thread(), $make),
            many: || many(two_threads(), $make),
        }
    };
}

const HOUR: Duration = Duration::from_secs(3600);
const KEYS: u64 = 10_000;

pub const ALL: &[Added] = &[
    added!("bare service", 50.0, echo_fn),
    added!("concurrency limit", 50.0, || {
        ConcurrencyLimit::new(echo_fn(), 100)
    }),
    added!("concurrency limit that sheds", 50.0, || {
        ConcurrencyLimit::new(echo_fn(), 100).shed()
    }),
    added!("concurrency limit with a maximum wait", 50.0, || {
        ConcurrencyLimit::new(echo_fn(), 100).max_wait(HOUR)
    }),
    added!("concurrency limit by weight", 50.0, || {
        WeightedConcurrencyLimitLayer::new(1000, |_: &u64| 10).layer(echo_fn())
    }),
    added!("rate limit that sheds", 50.0, || {
        RateLimit::new(echo_fn(), Rate::new(1 << 40, Duration::from_secs(1))).shed()
    }),
    added!("token bucket that is not full", 50.0, || {
        let rate = Rate::new(1_000_000, Duration::from_secs(1));
        RateLimit::token_bucket(echo_fn(), TokenBucket::new(rate, 1 << 40))
    }),
    added!("token bucket that is always full", 50.0, || {
        let rate = Rate::new(1 << 40, Duration::from_secs(1));
        RateLimit::token_bucket(echo_fn(), TokenBucket::new(rate, 100))
    }),
    added!("rate per key, one key", 150.0, || keyed_rate(1)),
    added!("rate per key, 10,000 keys in turn", 150.0, || keyed_rate(
        KEYS
    )),
    added!("requests in flight per key, one key", 150.0, || {
        keyed_permits(1)
    }),
    added!(
        "requests in flight per key, 10,000 keys in turn",
        150.0,
        || keyed_permits(KEYS)
    ),
];

fn keyed_rate(keys: u64) -> KeyedLimit<Echo, impl Fn(&u64) -> u64 + Clone, KeyRates<u64>> {
    let bucket = TokenBucket::new(Rate::new(1_000_000, Duration::from_secs(1)), 1 << 40);
    KeyedLimit::new(echo_fn(), KeyRates::new(bucket, 20_000), move |n: &u64| {
        n % keys
    })
}

fn keyed_permits(keys: u64) -> KeyedLimit<Echo, impl Fn(&u64) -> u64 + Clone, KeyPermits<u64>> {
    KeyedLimit::new(echo_fn(), KeyPermits::new(100, 20_000), move |n: &u64| {
        n % keys
    })
}

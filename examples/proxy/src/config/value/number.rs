//! Numbers, each within its bounds.

use std::fmt;
use std::marker::PhantomData;

use super::kind::Kind;

/// A number of things, from `MIN` to `MAX`.
pub(in crate::config) struct Count<const MIN: i64, const MAX: i64, T = usize>(PhantomData<T>);

/// A number of bytes, from `MIN` to `MAX`.
pub(in crate::config) struct ByteSize<const MIN: i64, const MAX: i64, T = usize>(PhantomData<T>);

/// A share in percent.
pub(in crate::config) enum Percent {}

/// The weight of an endpoint.
pub(in crate::config) enum Weight {}

/// Retries for each request.
pub(in crate::config) enum RetryRatio {}

/// Hedges for each request.
pub(in crate::config) enum ExtraLoad {}

/// A quantile of latencies.
pub(in crate::config) enum Percentile {}

impl<const MIN: i64, const MAX: i64, T: TryFrom<i64>> Kind for Count<MIN, MAX, T> {
    type Value = T;
    const EXPECTED: &'static str = "a number";

    fn expecting(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {MIN} to {MAX}", Self::EXPECTED)
    }

    fn integer(number: i64) -> Option<T> {
        within(number, MIN, MAX)
    }
}

impl<const MIN: i64, const MAX: i64, T: TryFrom<i64>> Kind for ByteSize<MIN, MAX, T> {
    type Value = T;
    const EXPECTED: &'static str = "a number of bytes";

    fn expecting(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {MIN} to {MAX}", Self::EXPECTED)
    }

    fn integer(number: i64) -> Option<T> {
        within(number, MIN, MAX)
    }
}

impl Kind for Percent {
    type Value = u32;
    const EXPECTED: &'static str = "a number of percent from 1 to 100";

    fn integer(number: i64) -> Option<u32> {
        within(number, 1, 100)
    }
}

impl Kind for Weight {
    type Value = u32;
    const EXPECTED: &'static str = "a weight from 0 to 1000";
    const LIST: &'static str = "a list of weights such as [1, 5]";

    fn integer(number: i64) -> Option<u32> {
        within(number, 0, 1000)
    }
}

impl Kind for RetryRatio {
    type Value = f32;
    const EXPECTED: &'static str =
        "a number from 0 to 10, where 0.2 means one retry for five requests";

    fn float(ratio: f64) -> Option<f32> {
        (0.0..=10.0).contains(&ratio).then_some(ratio as f32)
    }
}

impl Kind for ExtraLoad {
    type Value = f64;
    const EXPECTED: &'static str =
        "a number from 0 to 1, where 0.01 means one for a hundred requests";

    fn float(ratio: f64) -> Option<f64> {
        (0.0..=1.0).contains(&ratio).then_some(ratio)
    }
}

impl Kind for Percentile {
    type Value = f64;
    const EXPECTED: &'static str = "a number from 0.5 to 1, where 0.99 means 99 % of the requests";

    fn float(ratio: f64) -> Option<f64> {
        (0.5..=1.0).contains(&ratio).then_some(ratio)
    }
}

fn within<T: TryFrom<i64>>(number: i64, min: i64, max: i64) -> Option<T> {
    let number = Some(number).filter(|number| (min..=max).contains(number))?;
    number.try_into().ok()
}

//! Durations: a whole number and a unit, at most a day.

use std::time::Duration;

use super::kind::Kind;

/// `"250ms"`, `"5s"`, `"1m"`, `"2h"` or `"0s"`.
pub(in crate::config) enum DurationText {}

/// A duration of more than zero.
pub(in crate::config) enum Positive {}

/// A duration of more than zero, or `"off"`.
pub(in crate::config) enum OrOff {}

/// A duration over which something is counted.
pub(in crate::config) enum Window {}

impl Kind for DurationText {
    type Value = Duration;
    const EXPECTED: &'static str = r#"a duration such as "250ms", "5s" or "1m""#;

    fn text(text: &str) -> Option<Duration> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            _ => return None,
        };
        let duration = Duration::from_millis(number.checked_mul(millis)?);
        (duration <= LONGEST).then_some(duration)
    }
}

impl Kind for Positive {
    type Value = Duration;
    const EXPECTED: &'static str = r#"a duration of more than zero, such as "250ms", "5s" or "1m""#;

    fn text(text: &str) -> Option<Duration> {
        DurationText::text(text).filter(|duration| !duration.is_zero())
    }
}

impl Kind for OrOff {
    type Value = Option<Duration>;
    const EXPECTED: &'static str = r#"a duration such as "250ms", "5s" or "1m", or "off""#;

    fn text(text: &str) -> Option<Option<Duration>> {
        match text {
            "off" => Some(None),
            text => Positive::text(text).map(Some),
        }
    }
}

impl Kind for Window {
    type Value = Duration;
    const EXPECTED: &'static str = r#"a duration of 100ms or more, such as "250ms", "5s" or "1m""#;

    fn text(text: &str) -> Option<Duration> {
        DurationText::text(text).filter(|duration| duration.as_millis() >= 100)
    }
}

const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

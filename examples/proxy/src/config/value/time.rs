//! Durations.

use std::time::Duration;

use serde::de::Deserializer;

use super::visit::text;

pub(in crate::config) fn duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    text(
        deserializer,
        "a duration of more than zero, such as \"250ms\", \"5s\" or \"1m\"",
        |text| parse_duration(text).filter(|duration| !duration.is_zero()),
    )
}

pub(in crate::config) fn window<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    text(
        deserializer,
        "a duration of 100ms or more, such as \"250ms\", \"5s\" or \"1m\"",
        |text| parse_duration(text).filter(|duration| duration.as_millis() >= 100),
    )
}

pub(in crate::config) fn duration_or_zero<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    text(
        deserializer,
        "a duration such as \"250ms\", \"5s\" or \"1m\"",
        parse_duration,
    )
}

pub(in crate::config) fn duration_or_off<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    text(
        deserializer,
        "a duration such as \"250ms\", \"5s\" or \"1m\", or \"off\"",
        |text| match text {
            "off" => Some(None),
            text => parse_duration(text)
                .filter(|duration| !duration.is_zero())
                .map(Some),
        },
    )
}

/// `"250ms"`, `"5s"`, `"1m"`, `"2h"`: a whole number and a unit, at most a day.
fn parse_duration(text: &str) -> Option<Duration> {
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
    (duration <= Duration::from_secs(24 * 60 * 60)).then_some(duration)
}

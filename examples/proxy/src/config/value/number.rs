//! Numbers, each within its bounds.

use http::StatusCode;
use serde::de::Deserializer;

use super::visit::{float, list, number};

pub(in crate::config) fn attempts<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<u32, D::Error> {
    number(deserializer, "a number from 1 to 10", |number| {
        (1..=10).contains(&number).then_some(number as u32)
    })
}

pub(in crate::config) fn count<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<usize, D::Error> {
    number(deserializer, "a number from 1 to 1000000", |number| {
        (1..=1_000_000).contains(&number).then_some(number as usize)
    })
}

pub(in crate::config) fn some_count<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<usize>, D::Error> {
    count(deserializer).map(Some)
}

pub(in crate::config) fn streams<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<u32, D::Error> {
    number(deserializer, "a number from 1 to 1000", |number| {
        (1..=1000).contains(&number).then_some(number as u32)
    })
}

pub(in crate::config) fn window_size<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<u32, D::Error> {
    number(
        deserializer,
        "a number of bytes from 16384 to 16777216",
        |number| {
            (16_384..=16_777_216)
                .contains(&number)
                .then_some(number as u32)
        },
    )
}

pub(in crate::config) fn percent<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<u32, D::Error> {
    number(
        deserializer,
        "a number of percent from 1 to 100",
        |number| (1..=100).contains(&number).then_some(number as u32),
    )
}

pub(in crate::config) fn count_or_zero<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<u32, D::Error> {
    number(deserializer, "a number from 0 to 1000000", |number| {
        (0..=1_000_000).contains(&number).then_some(number as u32)
    })
}

pub(in crate::config) fn bytes<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<usize, D::Error> {
    number(
        deserializer,
        "a number of bytes from 0 to 16777216",
        |number| {
            (0..=16_777_216)
                .contains(&number)
                .then_some(number as usize)
        },
    )
}

pub(in crate::config) fn head_size<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<usize, D::Error> {
    number(
        deserializer,
        "a number of bytes from 8192 to 1048576",
        |number| {
            (8192..=1_048_576)
                .contains(&number)
                .then_some(number as usize)
        },
    )
}

pub(in crate::config) fn head_fields<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<usize>, D::Error> {
    number(deserializer, "a number from 1 to 10000", |number| {
        (1..=10_000)
            .contains(&number)
            .then_some(Some(number as usize))
    })
}

pub(in crate::config) fn weights<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<u32>, D::Error> {
    #[derive(serde::Deserialize)]
    struct Weight(#[serde(deserialize_with = "weight")] u32);

    list(
        deserializer,
        "a list of weights such as [1, 5]",
        |Weight(weight)| weight,
    )
}

fn weight<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    number(deserializer, "a weight from 0 to 1000", |number| {
        (0..=1000).contains(&number).then_some(number as u32)
    })
}

pub(in crate::config) fn statuses<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<StatusCode>, D::Error> {
    #[derive(serde::Deserialize)]
    struct Status(#[serde(deserialize_with = "status")] StatusCode);

    list(
        deserializer,
        "a list of statuses such as [502, 503]",
        |Status(status)| status,
    )
}

fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StatusCode, D::Error> {
    number(deserializer, "a status from 400 to 599", |number| {
        let status = u16::try_from(number)
            .ok()
            .filter(|status| (400..600).contains(status))?;
        StatusCode::from_u16(status).ok()
    })
}

pub(in crate::config) fn share<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<f32, D::Error> {
    let expected = "a number from 0 to 10, where 0.2 means one retry for five requests";
    float(deserializer, expected, 0.0..=10.0).map(|share| share as f32)
}

pub(in crate::config) fn part<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let expected = "a number from 0 to 1, where 0.01 means one for a hundred requests";
    float(deserializer, expected, 0.0..=1.0)
}

pub(in crate::config) fn percentile<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<f64, D::Error> {
    let expected = "a number from 0.5 to 1, where 0.99 means 99 % of the requests";
    float(deserializer, expected, 0.5..=1.0)
}

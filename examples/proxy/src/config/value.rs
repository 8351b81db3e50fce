//! The values that occur in a file, each with its words for what is accepted.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderName, StatusCode};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Unexpected, Visitor};
use tower::retry::http::Code;

use super::{Network, Timeout, Via};
use crate::headers::is_reserved;
use crate::path::normalize;

/// An upstream's address: a name or an IP address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// The name or the IP address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = || {
            if let Ok(address) = text.parse::<SocketAddr>() {
                return (address.port() != 0).then(|| address.into());
            }
            let (host, port) = text.rsplit_once(':')?;
            let port = port
                .bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| port.parse().ok())?
                .filter(|&port| port != 0)?;
            is_name(host).then(|| Self {
                host: host.to_owned(),
                port,
            })
        };
        parsed().ok_or_else(|| format!("found {text:?}; expected {ENDPOINT}"))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse() {
            Ok(IpAddr::V6(host)) => write!(f, "[{host}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, ENDPOINT, |text| text.parse().ok())
    }
}

const ENDPOINT: &str =
    "a host and a port such as \"127.0.0.1:3000\", \"[::1]:3000\" or \"backend.example:3000\"";

pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    text(
        deserializer,
        "an IP address and a port such as \"127.0.0.1:8080\" or \"[::]:8080\"",
        |text| text.parse().ok(),
    )
}

pub(super) fn host<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    text(
        deserializer,
        "a host such as \"example.com\" or \"*.example.com\", without a port",
        |text| {
            let good = match text.strip_prefix("*.") {
                Some(parent) => is_name(parent) && parent.parse::<Ipv4Addr>().is_err(),
                None => is_name(text),
            };
            good.then(|| Some(text.to_owned()))
        },
    )
}

pub(super) fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(serde::Deserialize)]
    struct Name(#[serde(deserialize_with = "name")] String);

    list(
        deserializer,
        "a list of hosts such as [\"proxy.example\"]",
        |Name(name)| name,
    )
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let expected = "a host such as \"proxy.example\", without a port";
    text(deserializer, expected, |text| {
        is_name(text).then(|| text.to_owned())
    })
}

pub(super) fn clusters<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(serde::Deserialize)]
    struct Name(#[serde(deserialize_with = "cluster")] String);

    let expected = "a list of clusters such as [\"web\"]";
    list(deserializer, expected, |Name(name)| name).map(Some)
}

pub(super) fn cluster<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    text(deserializer, "the name of a cluster", |text| {
        Some(text.to_owned())
    })
}

pub(super) fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    text(
        deserializer,
        "a path that begins with \"/\", without \"?\" and \"#\", in its normal form: no \"//\", no \"..\", no needless \"%\"",
        |text| {
            let is_path = text.starts_with('/') && !text.contains(['?', '#', ' ']);
            let is_normal = normalize(text).is_ok_and(|normal| normal == text);
            (is_path && is_normal).then(|| text.to_owned())
        },
    )
}

pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    text(
        deserializer,
        "a duration of more than zero, such as \"250ms\", \"5s\" or \"1m\"",
        |text| parse_duration(text).filter(|duration| !duration.is_zero()),
    )
}

pub(super) fn window<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    text(
        deserializer,
        "a duration of 100ms or more, such as \"250ms\", \"5s\" or \"1m\"",
        |text| parse_duration(text).filter(|duration| duration.as_millis() >= 100),
    )
}

pub(super) fn duration_or_zero<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    text(
        deserializer,
        "a duration such as \"250ms\", \"5s\" or \"1m\"",
        parse_duration,
    )
}

pub(super) fn duration_or_off<'de, D: Deserializer<'de>>(
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

impl<'de> Deserialize<'de> for Timeout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let timeout = duration_or_off(deserializer)?;
        Ok(Self {
            http: timeout,
            grpc: timeout,
        })
    }
}

pub(super) fn attempts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    number(deserializer, "a number from 1 to 10", |number| {
        (1..=10).contains(&number).then_some(number as u32)
    })
}

pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    number(deserializer, "a number from 1 to 1000000", |number| {
        (1..=1_000_000).contains(&number).then_some(number as usize)
    })
}

pub(super) fn some_count<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<usize>, D::Error> {
    count(deserializer).map(Some)
}

pub(super) fn streams<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    number(deserializer, "a number from 1 to 1000", |number| {
        (1..=1000).contains(&number).then_some(number as u32)
    })
}

pub(super) fn window_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
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

pub(super) fn percent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    number(
        deserializer,
        "a number of percent from 1 to 100",
        |number| (1..=100).contains(&number).then_some(number as u32),
    )
}

pub(super) fn count_or_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    number(deserializer, "a number from 0 to 1000000", |number| {
        (0..=1_000_000).contains(&number).then_some(number as u32)
    })
}

pub(super) fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
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

pub(super) fn header<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HeaderName, D::Error> {
    text(
        deserializer,
        "the name of a header such as \"x-request-timeout-ms\"",
        |text| text.parse().ok(),
    )
}

/// The name of a header that is free for the proxy's own use.
pub(super) fn own_header<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<HeaderName, D::Error> {
    text(
        deserializer,
        "the name of a header such as \"x-request-timeout-ms\", and none that HTTP or the proxy uses itself",
        |text| text.parse().ok().filter(|name| !is_reserved(name)),
    )
}

pub(super) fn head_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
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

pub(super) fn head_fields<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<usize>, D::Error> {
    number(deserializer, "a number from 1 to 10000", |number| {
        (1..=10_000)
            .contains(&number)
            .then_some(Some(number as usize))
    })
}

pub(super) fn via<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Via, D::Error> {
    text(
        deserializer,
        "a name such as \"edge-1\", or \"off\"",
        |text| match text {
            "off" => Some(Via::Off),
            text => is_name(text).then(|| Via::Name(text.to_owned())),
        },
    )
}

pub(super) fn networks<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Network>, D::Error> {
    #[derive(serde::Deserialize)]
    struct Text(#[serde(deserialize_with = "network")] Network);

    list(
        deserializer,
        "a list of networks such as [\"10.0.0.0/8\", \"::1\"]",
        |Text(network)| network,
    )
}

fn network<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Network, D::Error> {
    text(
        deserializer,
        "an IP address or a network such as \"10.0.0.0/8\"",
        |text| text.parse().ok(),
    )
}

pub(super) fn weights<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u32>, D::Error> {
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

pub(super) fn statuses<'de, D: Deserializer<'de>>(
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

pub(super) fn grpc_codes<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Code>, D::Error> {
    #[derive(serde::Deserialize)]
    struct Name(#[serde(deserialize_with = "grpc_code")] Code);

    list(
        deserializer,
        "a list of gRPC statuses such as [\"unavailable\"]",
        |Name(code)| code,
    )
}

fn grpc_code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Code, D::Error> {
    text(
        deserializer,
        "the name of a gRPC status other than \"ok\", such as \"unavailable\"",
        |text| text.parse().ok().filter(|code| *code != Code::Ok),
    )
}

pub(super) fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    let expected = "a number from 0 to 10, where 0.2 means one retry for five requests";
    float(deserializer, expected, 0.0..=10.0).map(|share| share as f32)
}

pub(super) fn part<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let expected = "a number from 0 to 1, where 0.01 means one for a hundred requests";
    float(deserializer, expected, 0.0..=1.0)
}

pub(super) fn percentile<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let expected = "a number from 0.5 to 1, where 0.99 means 99 % of the requests";
    float(deserializer, expected, 0.5..=1.0)
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

/// Whether this can be the name of a host, or an address of IPv4: what ends in a number is such an address or nothing.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let last = text.rsplit('.').next().unwrap_or(text);
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
    text.len() < 254
        && text.split('.').all(is_label)
        && (!is_number || text.parse::<Ipv4Addr>().is_ok())
}

/// A string that `parse` accepts.
fn text<'de, D, T>(
    deserializer: D,
    expected: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    struct Text<P>(&'static str, P);

    impl<T, P: FnOnce(&str) -> Option<T>> Visitor<'_> for Text<P> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            self.1(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self.0))
        }
    }

    deserializer.deserialize_str(Text(expected, parse))
}

/// An integer that `parse` accepts.
fn number<'de, D, T>(
    deserializer: D,
    expected: &'static str,
    parse: impl FnOnce(i64) -> Option<T>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    struct Number<P>(&'static str, P);

    impl<T, P: FnOnce(i64) -> Option<T>> Visitor<'_> for Number<P> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
            self.1(number).ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self.0))
        }
    }

    deserializer.deserialize_i64(Number(expected, parse))
}

/// A number in this range.
fn float<'de, D: Deserializer<'de>>(
    deserializer: D,
    expected: &'static str,
    range: RangeInclusive<f64>,
) -> Result<f64, D::Error> {
    struct Float(&'static str, RangeInclusive<f64>);

    impl Visitor<'_> for Float {
        type Value = f64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_f64<E: Error>(self, value: f64) -> Result<f64, E> {
            match self.1.contains(&value) {
                true => Ok(value),
                false => Err(E::invalid_value(Unexpected::Float(value), &self)),
            }
        }

        fn visit_i64<E: Error>(self, value: i64) -> Result<f64, E> {
            self.visit_f64(value as f64)
        }
    }

    deserializer.deserialize_f64(Float(expected, range))
}

/// A list of what `from` makes of each element.
fn list<'de, D, I, T>(
    deserializer: D,
    expected: &'static str,
    from: fn(I) -> T,
) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    I: Deserialize<'de>,
{
    struct List<I, T>(&'static str, fn(I) -> T);

    impl<'de, I: Deserialize<'de>, T> Visitor<'de> for List<I, T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(element) = elements.next_element()? {
                list.push((self.1)(element));
            }
            Ok(list)
        }
    }

    deserializer.deserialize_seq(List(expected, from))
}

//! Names, addresses and paths.

use std::net::{Ipv4Addr, SocketAddr};

use http::HeaderName;
use serde::de::Deserializer;
use tower::classify::http::Code;

use super::super::{Network, Via};
use super::visit::{list, text};
use crate::front::headers::path::normalize;
use crate::transport::headers::is_reserved;

pub(in crate::config) fn address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<SocketAddr, D::Error> {
    text(
        deserializer,
        "an IP address and a port such as \"127.0.0.1:8080\" or \"[::]:8080\"",
        |text| text.parse().ok(),
    )
}

pub(in crate::config) fn host<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
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

pub(in crate::config) fn names<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
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

pub(in crate::config) fn clusters<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(serde::Deserialize)]
    struct Name(#[serde(deserialize_with = "cluster")] String);

    let expected = "a list of clusters such as [\"web\"]";
    list(deserializer, expected, |Name(name)| name).map(Some)
}

pub(in crate::config) fn cluster<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    text(deserializer, "the name of a cluster", |text| {
        Some(text.to_owned())
    })
}

pub(in crate::config) fn path<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
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

pub(in crate::config) fn header<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<HeaderName, D::Error> {
    text(
        deserializer,
        "the name of a header such as \"x-request-timeout-ms\"",
        |text| text.parse().ok(),
    )
}

/// The name of a header that is free for the proxy's own use.
pub(in crate::config) fn own_header<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<HeaderName, D::Error> {
    text(
        deserializer,
        "the name of a header such as \"x-request-timeout-ms\", and none that HTTP or the proxy uses itself",
        |text| text.parse().ok().filter(|name| !is_reserved(name)),
    )
}

pub(in crate::config) fn via<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Via, D::Error> {
    text(
        deserializer,
        "a name such as \"edge-1\", or \"off\"",
        |text| match text {
            "off" => Some(Via::Off),
            text => is_name(text).then(|| Via::Name(text.to_owned())),
        },
    )
}

pub(in crate::config) fn networks<'de, D: Deserializer<'de>>(
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

pub(in crate::config) fn grpc_codes<'de, D: Deserializer<'de>>(
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

/// Whether this can be the name of a host, or an address of IPv4: what ends in a number is such an address or nothing.
pub(super) fn is_name(text: &str) -> bool {
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

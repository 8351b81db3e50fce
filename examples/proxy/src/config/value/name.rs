//! Names of hosts and clusters, and addresses.

use std::net::{Ipv4Addr, SocketAddr};

use super::kind::Kind;

/// `example.com`, or `*.example.com` for what is below it.
pub(in crate::config) enum HostPattern {}

/// `example.com`, or an address of IPv4.
pub(in crate::config) enum Host {}

/// The key of a table in `clusters`.
pub(in crate::config) enum ClusterName {}

impl Kind for HostPattern {
    type Value = String;
    const EXPECTED: &'static str =
        r#"a host such as "example.com" or "*.example.com", without a port"#;

    fn text(text: &str) -> Option<String> {
        let is_good = match text.strip_prefix("*.") {
            Some(parent) => is_name(parent) && parent.parse::<Ipv4Addr>().is_err(),
            None => is_name(text),
        };
        is_good.then(|| text.to_owned())
    }
}

impl Kind for Host {
    type Value = String;
    const EXPECTED: &'static str = r#"a host such as "proxy.example", without a port"#;
    const LIST: &'static str = r#"a list of hosts such as ["proxy.example"]"#;

    fn text(text: &str) -> Option<String> {
        is_name(text).then(|| text.to_owned())
    }
}

impl Kind for ClusterName {
    type Value = String;
    const EXPECTED: &'static str = "the name of a cluster";
    const LIST: &'static str = r#"a list of clusters such as ["web"]"#;

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }
}

impl Kind for SocketAddr {
    type Value = Self;
    const EXPECTED: &'static str =
        r#"an IP address and a port such as "127.0.0.1:8080" or "[::]:8080""#;

    fn text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// Returns whether this is a valid host name or IPv4 address. A name whose last label is a number must be an address.
pub(in crate::config) fn is_name(text: &str) -> bool {
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

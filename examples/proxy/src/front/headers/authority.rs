//! The host that a request is for: the one authority that `Host`, `:authority` and the target's absolute form agree on.

use std::error::Error;
use std::fmt;
use std::net::Ipv6Addr;

use http::header::{HOST, HeaderMap};
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{Method, Version};

/// Why a request has no valid authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadTarget {
    /// HTTP/1.1 without `Host`, or HTTP/2 with neither `:authority` nor `host`.
    Missing,
    /// More than one `Host` field.
    Twice,
    /// The value is not a host with an optional port, or has user information, which RFC 9110 (4.2.4) requires servers
    /// to reject.
    Invalid,
    /// `:authority` and `host` differ.
    Unlike,
    /// The target is neither a path nor an `http` or `https` URL.
    Form,
}

/// Returns the authority of a request as it was sent, or `None` if it has none and needs none. `hosts` is the number of
/// its `Host` fields.
///
/// # Errors
///
/// If `Host`, `:authority` or the target could name different hosts to different servers (RFC 9112, 3.2; RFC 9113,
/// 8.3.1).
pub fn of(head: &Parts, hosts: usize) -> Result<Option<&str>, BadTarget> {
    let (uri, version) = (&head.uri, head.version);
    let is_path =
        uri.path().starts_with('/') || (uri.path() == "*" && head.method == Method::OPTIONS);
    let is_http = uri
        .scheme()
        .is_none_or(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    if !is_path || !is_http {
        return Err(BadTarget::Form);
    }
    let target = uri.authority().map(Authority::as_str);
    let host = host_field(&head.headers, hosts)?;
    if target.is_some_and(|target| !is_valid(target)) {
        return Err(BadTarget::Invalid);
    }
    match (target, host) {
        (None, None) if version == Version::HTTP_10 => Ok(None),
        (None, None | Some("")) if version == Version::HTTP_2 => Err(BadTarget::Missing),
        (_, None) if version == Version::HTTP_11 => Err(BadTarget::Missing),
        (Some(target), Some(host)) if version == Version::HTTP_2 => {
            match is_same(target, host, uri.scheme()) {
                true => Ok(Some(target)),
                false => Err(BadTarget::Unlike),
            }
        }
        // RFC 9112, 3.2.2: the absolute form takes precedence.
        (Some(target), _) => Ok(Some(target)),
        (None, host) => Ok(host.filter(|host| !host.is_empty())),
    }
}

/// Returns the authority of a request that [`of`] has accepted.
pub fn of_valid(head: &Parts) -> Option<&str> {
    let of_target = head.uri.authority().map(Authority::as_str);
    let of_host = || head.headers.get(HOST)?.to_str().ok();
    of_target
        .or_else(of_host)
        .filter(|authority| !authority.is_empty())
}

/// Returns the host of an authority for comparison: without the port and without a trailing dot.
pub fn host(authority: &str) -> &str {
    let (host, _) = split(authority);
    host.strip_suffix('.').unwrap_or(host)
}

/// Returns the only `Host`, which may be empty.
fn host_field(headers: &HeaderMap, hosts: usize) -> Result<Option<&str>, BadTarget> {
    let host = match hosts {
        0 => None,
        1 => headers.get(&HOST),
        _ => return Err(BadTarget::Twice),
    };
    let Some(host) = host else { return Ok(None) };
    let host = host.to_str().map_err(|_| BadTarget::Invalid)?;
    match host.is_empty() || is_valid(host) {
        true => Ok(Some(host)),
        false => Err(BadTarget::Invalid),
    }
}

/// Returns whether it is `uri-host [ ":" port ]` of RFC 3986, without percent signs and commas: real hosts have
/// neither, and a comma joins two field lines.
fn is_valid(authority: &str) -> bool {
    let (host, port) = split(authority);
    let is_port = port.is_none_or(|port| {
        port.bytes().all(|byte| byte.is_ascii_digit())
            && (port.is_empty() || port.parse::<u16>().is_ok())
    });
    let is_host = match host.strip_prefix('[') {
        Some(literal) => literal
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty() && host.bytes().all(|byte| IN_NAMES[usize::from(byte)]),
    };
    is_port && is_host
}

/// Splits it into the host, with the brackets of an IPv6 address, and the port.
fn split(authority: &str) -> (&str, Option<&str>) {
    match authority.bytes().rposition(|byte| byte == b':') {
        Some(colon) if !authority.ends_with(']') => {
            (&authority[..colon], Some(&authority[colon + 1..]))
        }
        _ => (authority, None),
    }
}

fn is_same(one: &str, other: &str, scheme: Option<&Scheme>) -> bool {
    let default = match scheme == Some(&Scheme::HTTPS) {
        true => "443",
        false => "80",
    };
    let port = |authority| match split(authority).1 {
        None | Some("") => default,
        Some(port) => port,
    };
    host(one).eq_ignore_ascii_case(host(other)) && port(one) == port(other)
}

impl BadTarget {
    /// Returns a message for the client.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "the request has no host",
            Self::Twice => "the request has more than one host",
            Self::Invalid => "the request's host is invalid",
            Self::Unlike => "the request's :authority and host differ",
            Self::Form => "the request's target is invalid",
        }
    }
}

impl fmt::Display for BadTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Error for BadTarget {}

/// Letters, digits, and the unreserved characters and delimiters of RFC 3986, except the comma.
const IN_NAMES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-._~!$&'()*+;=";
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_compared_without_port_and_trailing_dot() {
        for (authority, expected) in [
            ("a.example", "a.example"),
            ("a.example.", "a.example"),
            ("a.example:80", "a.example"),
            ("a.example.:80", "a.example"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("a:", "a"),
        ] {
            assert_eq!(host(authority), expected, "{authority}");
        }
    }

    #[test]
    fn authorities_are_validated() {
        for good in [
            "a", "a:80", "a:", "a.", "1.2.3.4", "[::1]", "[::1]:80", "a_b", "xn--a", "a:0",
        ] {
            assert!(is_valid(good), "{good}");
        }
        for bad in [
            "", ":80", "a b", "a/b", "u@a", "a,b", "a:x", "a:65536", "a:80:80", "a:+8", "[::1",
            "::1", "[::g]", "[::1]a", "[a]", "a%20", "\u{e9}", "a\\b", "a?b", "a#b",
        ] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}

//! The fields that a proxy removes, joins, adds to or reads.

use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;

pub use tower::classify::http::is_grpc;

/// Removes hop-by-hop fields, including those that `Connection` lists (RFC 9110, 7.6.1).
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    strip(headers, is_hop_by_hop);
}

/// Removes the fields that `stripped` selects, including those that `Connection` lists if it is one of them.
pub fn strip(headers: &mut HeaderMap, stripped: impl Fn(&str) -> bool) {
    // Scanning all names once is cheaper than looking up each one.
    let found = headers.keys().filter(|name| stripped(name.as_str()));
    let mut found: Vec<HeaderName> = found.cloned().collect();
    if found.contains(&header::CONNECTION) {
        found.extend(named_by_connection(headers));
    }
    for name in found {
        headers.remove(name);
    }
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::CONNECTION).into_iter();
    let options = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    // The first two are connection options rather than fields, and nearly always all there is. `Host` is never removed:
    // without it the request would be for another host.
    let is_name = |option: &&[u8]| {
        let no_names = [&b"close"[..], b"keep-alive", b"host"];
        !no_names
            .iter()
            .any(|other| option.eq_ignore_ascii_case(other))
    };
    let named = options.map(<[u8]>::trim_ascii).filter(is_name);
    named
        .filter_map(|option| HeaderName::from_bytes(option).ok())
        .collect()
}

/// Removes fields that a trailer must not have: they come too late, or the next hop would trust them (RFC 9110, 6.5.1).
pub fn strip_trailers(trailers: &mut HeaderMap) {
    strip(trailers, |name| {
        is_hop_by_hop(name) || is_forwarded(name) || is_in_head_only(name)
    });
}

/// Decrements `Max-Forwards` if the method is OPTIONS or TRACE. Returns `false` if the request must not be forwarded
/// (RFC 9110, 7.6.2).
pub fn count_down(head: &mut Parts) -> bool {
    if !matches!(head.method, Method::OPTIONS | Method::TRACE) {
        return true;
    }
    let left = head.headers.get(header::MAX_FORWARDS);
    let left = left.and_then(|left| left.to_str().ok()?.parse::<u32>().ok());
    match left.map(|left| left.checked_sub(1)) {
        None => true,
        Some(None) => false,
        Some(Some(left)) => {
            let left = HeaderValue::from(left);
            head.headers.insert(header::MAX_FORWARDS, left);
            true
        }
    }
}

/// Returns whether the sender of these headers accepts trailers (RFC 9110, 10.1.4).
pub fn accepts_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::TE).into_iter();
    let mut codings = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// Returns whether the proxy itself reads or writes this field, so that it cannot be configured for anything else.
pub fn is_reserved(name: &HeaderName) -> bool {
    let name = name.as_str();
    is_hop_by_hop(name) || is_in_head_only(name) || is_forwarded(name)
}

/// Returns the size of the fields in bytes, as HTTP/2 counts it (RFC 9113, 6.5.2).
pub fn size(headers: &HeaderMap) -> usize {
    let fields = headers.iter();
    let sizes = fields.map(|(name, value)| field_size(name.as_str(), value));
    sizes.sum()
}

/// Returns the size of one field, which [`size`] adds up.
pub(crate) fn field_size(name: &str, value: &HeaderValue) -> usize {
    name.len() + value.len() + 32
}

/// Joins the cookie fields into which HTTP/2 may split a cookie (RFC 9113, 8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let cookies = headers.get_all(header::COOKIE);
    if cookies.iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<_> = cookies.iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

/// Removes the fields in which only a trusted proxy may describe a client.
pub(crate) fn strip_forwarded(headers: &mut HeaderMap) {
    strip(headers, is_forwarded);
}

/// Returns whether it is one of these, except `x-forwarded-for`, whose last address is correct whatever precedes it.
#[inline]
pub(crate) fn is_forwarded(name: &str) -> bool {
    match name.strip_prefix("x-forwarded-") {
        Some(rest) => rest != "for",
        None => name == "forwarded" || name == "x-real-ip",
    }
}

/// Appends a client to the addresses in `x-forwarded-for`, joining its fields to one.
pub(crate) fn append_forwarded_for(headers: &mut HeaderMap, client: &HeaderValue) {
    let before = headers.get_all(X_FORWARDED_FOR).into_iter();
    let addresses = before.filter(|value| value.to_str().is_ok());
    let chain = addresses.chain([client]).map(HeaderValue::as_bytes);
    let chain = chain.collect::<Vec<_>>().join(&b", "[..]);
    if let Ok(chain) = HeaderValue::try_from(chain) {
        headers.insert(X_FORWARDED_FOR, chain);
    }
}

/// The field of a gRPC status, in trailers or in the headers of a response without a body.
pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// `Trailer` is not one of them, as it is forwarded together with the trailers. Credentials for a proxy are for the
/// first proxy that asks for them, and are removed though this proxy does not ask.
#[inline]
pub(crate) fn is_hop_by_hop(name: &str) -> bool {
    // The first letter excludes most names.
    let may_be = matches!(name.as_bytes(), [b'c' | b'k' | b'p' | b't' | b'u', ..]);
    may_be
        && matches!(
            name,
            "connection"
                | "keep-alive"
                | "proxy-authenticate"
                | "proxy-authentication-info"
                | "proxy-authorization"
                | "proxy-connection"
                | "te"
                | "transfer-encoding"
                | "upgrade"
        )
}

/// Returns whether a field comes too late in a trailer, or would be trusted there.
fn is_in_head_only(name: &str) -> bool {
    matches!(
        name,
        "authorization"
            | "content-length"
            | "cookie"
            | "expect"
            | "host"
            | "max-forwards"
            | "trailer"
            | "via"
            | "x-forwarded-for"
    )
}

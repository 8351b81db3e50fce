//! What changes in the head of a message on its way through a proxy.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{Request, Version};

use crate::config::Protocol;

/// Makes a client's request one that an upstream of `protocol` understands.
///
/// Drops the headers of this hop, tells the upstream who asked (`x-forwarded-for`, `x-forwarded-proto`), and puts the
/// authority where the protocol has it: in `Host` for HTTP/1.1, in the URI for HTTP/2.
pub fn forward<B>(
    request: &mut Request<B>,
    authority: Option<Authority>,
    protocol: Protocol,
    client: IpAddr,
) {
    let trailers = accepts_trailers(request.headers());
    strip_hop_by_hop(request.headers_mut());
    let headers = request.headers_mut();
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    append_forwarded_for(headers, client);
    headers
        .entry(X_FORWARDED_PROTO)
        .or_insert(HeaderValue::from_static("http"));

    let path = request
        .uri()
        .path_and_query()
        .cloned()
        .unwrap_or(PathAndQuery::from_static("/"));
    let mut target = Uri::default().into_parts();
    target.path_and_query = Some(path);
    match protocol {
        Protocol::Http1 => {
            if let Some(host) =
                authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok())
            {
                request.headers_mut().insert(header::HOST, host);
            }
            *request.version_mut() = Version::HTTP_11;
        }
        Protocol::Http2 => {
            request.headers_mut().remove(header::HOST);
            target.scheme = Some(Scheme::HTTP);
            target.authority = Some(authority.unwrap_or(Authority::from_static("localhost")));
            *request.version_mut() = Version::HTTP_2;
        }
    }
    // A path with, for HTTP/2, a scheme and an authority is always a URI; if it were not, the old one stays.
    if let Ok(uri) = Uri::from_parts(target) {
        *request.uri_mut() = uri;
    }
}

/// Drops the headers that concern one connection alone (RFC 9110, 7.6.1).
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if let Some(connection) = headers.remove(header::CONNECTION) {
        let named = connection.to_str().unwrap_or_default().split(',');
        for name in named.filter_map(|name| HeaderName::try_from(name.trim()).ok()) {
            headers.remove(name);
        }
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

fn accepts_trailers(headers: &HeaderMap) -> bool {
    let codings = headers
        .get_all(header::TE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    codings
        .flat_map(|value| value.split(','))
        .any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

fn append_forwarded_for(headers: &mut HeaderMap, client: IpAddr) {
    let client = client.to_string();
    let before = headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let chain = before
        .chain([client.as_str()])
        .collect::<Vec<_>>()
        .join(", ");
    if let Ok(value) = HeaderValue::try_from(chain) {
        headers.insert(X_FORWARDED_FOR, value);
    }
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

const HOP_BY_HOP: [HeaderName; 6] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));

    fn request(uri: &str, headers: &[(&str, &str)]) -> Request<()> {
        let request = headers
            .iter()
            .fold(Request::builder().uri(uri), |r, (name, value)| {
                r.header(*name, *value)
            });
        request.body(()).unwrap()
    }

    fn forwarded(mut request: Request<()>, protocol: Protocol) -> Request<()> {
        let authority = crate::router::authority_of(&request);
        forward(&mut request, authority, protocol, CLIENT);
        request
    }

    #[test]
    fn headers_of_this_hop_do_not_pass() {
        let request = request(
            "/a?b=c",
            &[
                ("host", "a.example"),
                ("connection", "close, X-Secret"),
                ("x-secret", "1"),
                ("keep-alive", "timeout=5"),
                ("upgrade", "websocket"),
                ("x-kept", "1"),
            ],
        );
        let request = forwarded(request, Protocol::Http1);
        let mut names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["host", "x-forwarded-for", "x-forwarded-proto", "x-kept"]
        );
        assert_eq!(request.uri(), "/a?b=c");
    }

    #[test]
    fn te_trailers_passes_and_nothing_else_of_te() {
        let request = forwarded(request("/", &[("te", "gzip, Trailers")]), Protocol::Http2);
        assert_eq!(request.headers()[header::TE], "trailers");
        let request = forwarded(self::request("/", &[("te", "gzip")]), Protocol::Http2);
        assert!(!request.headers().contains_key(header::TE));
    }

    #[test]
    fn the_authority_goes_where_the_protocol_has_it() {
        let request = forwarded(request("http://a.example:81/x", &[]), Protocol::Http1);
        assert_eq!(request.uri(), "/x");
        assert_eq!(request.headers()[header::HOST], "a.example:81");

        let request = forwarded(
            self::request("/x", &[("host", "a.example:81")]),
            Protocol::Http2,
        );
        assert_eq!(request.uri(), "http://a.example:81/x");
        assert!(!request.headers().contains_key(header::HOST));
    }

    #[test]
    fn the_client_is_added_to_those_who_forwarded_before() {
        let request = request(
            "/",
            &[
                ("x-forwarded-for", "1.2.3.4"),
                ("x-forwarded-for", "5.6.7.8"),
            ],
        );
        let request = forwarded(request, Protocol::Http1);
        assert_eq!(
            request.headers()["x-forwarded-for"],
            "1.2.3.4, 5.6.7.8, 10.0.0.7"
        );
        assert_eq!(
            request.headers().get_all("x-forwarded-for").iter().count(),
            1
        );
    }
}

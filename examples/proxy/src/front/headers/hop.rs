//! What a proxy changes in a request: it removes the hop-by-hop fields and adds those for the next hop.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;

use http::Version;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::{self, Authority, PathAndQuery, Scheme, Uri};

use super::fields::Te;
use crate::config::{Config, Network, Protocol, Via};
use crate::front::inbound::Inbound;
use crate::front::protocol::Dialect;
use crate::transport::headers::{
    X_FORWARDED_FOR, accepts_trailers, append_forwarded_for, join_cookies, strip_forwarded,
    strip_hop_by_hop,
};

/// The proxy's name in `Via`, and the networks whose forwarding headers are trusted.
#[derive(Debug)]
pub struct Hop {
    via: Option<Received>,
    trusted: Vec<Network>,
}

/// The name in `Via`, and the field's value for HTTP/1.0, 1.1 and 2.
#[derive(Debug)]
struct Received {
    name: String,
    values: [HeaderValue; 3],
}

impl Hop {
    /// Creates it from the configuration. If that has no name, each call generates a different one.
    pub fn new(config: &Config) -> Self {
        let name = match &config.via {
            // Unique per process, so that two proxies in a row are not taken for a loop.
            Via::Unique => Some(format!(
                "tower-proxy-{:08x}",
                RandomState::new().build_hasher().finish() as u32
            )),
            Via::Name(name) => Some(name.clone()),
            Via::Off => None,
        };
        Self {
            via: name.and_then(Received::new),
            trusted: config.trusted_proxies.clone(),
        }
    }

    /// Returns whether a request has passed through this proxy before.
    pub fn has_forwarded(&self, headers: &HeaderMap) -> bool {
        let Some(Received { name, .. }) = &self.via else {
            return false;
        };
        // RFC 9110, 7.6.3: received-protocol received-by [ comment ].
        let received_by = |hop: &[u8]| {
            let mut words = hop
                .split(u8::is_ascii_whitespace)
                .filter(|word| !word.is_empty());
            words
                .nth(1)
                .is_some_and(|by| by.eq_ignore_ascii_case(name.as_bytes()))
        };
        let values = headers.get_all(header::VIA).into_iter();
        let mut hops = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        hops.any(received_by)
    }

    /// Rewrites a client's request for an upstream that speaks `protocol`.
    ///
    /// Removes the hop-by-hop fields, adds `x-forwarded-for`, `x-forwarded-proto` and `via`, and puts the authority
    /// where the protocol has it: in `Host` for HTTP/1.1, in the URI for HTTP/2. Returns whether the client accepts
    /// trailers.
    pub fn forward(&self, request: &mut Inbound, protocol: Protocol) -> bool {
        let Inbound {
            head,
            fields: found,
            client,
            ..
        } = request;
        let headers = &mut head.headers;
        let trailers = match found.te {
            Te::Absent => false,
            Te::Trailers => true,
            Te::Other => accepts_trailers(headers),
        };
        if found.hop_by_hop {
            strip_hop_by_hop(headers);
            // `Connection` may have named the `content-type`.
            found.dialect = Dialect::of(headers);
        }
        if !trailers && found.te != Te::Absent {
            headers.remove(header::TE);
        }
        if trailers {
            if found.hop_by_hop || found.te == Te::Other {
                headers.insert(header::TE, HeaderValue::from_static("trailers"));
            }
            if protocol == Protocol::Http1 {
                // RFC 9110, 10.1.4.
                headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
            }
        }
        if found.cookies > 1 {
            join_cookies(headers);
        }
        if found.forwarded && !self.trusts(client.address().ip()) {
            strip_forwarded(headers);
        }
        if found.forwarded_for {
            append_forwarded_for(headers, client.ip());
        } else {
            headers.insert(X_FORWARDED_FOR, client.ip().clone());
        }
        if !found.forwarded || !headers.contains_key(X_FORWARDED_PROTO) {
            headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
        }
        if let Some(via) = &self.via {
            headers.append(header::VIA, via.value(head.version));
        }
        match protocol {
            Protocol::Http1 => target_http1(head, found.hosts > 0),
            Protocol::Http2 => target_http2(head, found.hosts > 0),
        }
        trailers
    }

    fn trusts(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        self.trusted.iter().any(|network| network.contains(client))
    }
}

impl Received {
    /// Returns `None` if the name is not a valid field value; a checked configuration has a valid one.
    fn new(name: String) -> Option<Self> {
        let value = |version| HeaderValue::try_from(format!("{version} {name}")).ok();
        let values = [value("1.0")?, value("1.1")?, value("2.0")?];
        Some(Self { name, values })
    }

    fn value(&self, version: Version) -> HeaderValue {
        let [http10, http11, http2] = &self.values;
        match version {
            Version::HTTP_2 => http2,
            Version::HTTP_10 => http10,
            _ => http11,
        }
        .clone()
    }
}

/// Writes the target in origin form, and the authority in `Host`.
fn target_http1(head: &mut Parts, has_host: bool) {
    head.version = Version::HTTP_11;
    if let Some(authority) = head.uri.authority() {
        if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
            head.headers.insert(header::HOST, host);
        }
        head.uri = Uri::from(path_of(&head.uri));
    } else if !has_host {
        // RFC 9112, 3.2: if the target has no authority, `Host` is empty.
        head.headers
            .insert(header::HOST, HeaderValue::from_static(""));
    }
}

/// Writes the authority into the target.
fn target_http2(head: &mut Parts, has_host: bool) {
    let host = match has_host {
        true => head.headers.remove(header::HOST),
        false => None,
    };
    if head.uri.authority().is_some() && head.uri.scheme() == Some(&Scheme::HTTP) {
        // As nearly every client over HTTP/2 sends it.
        head.version = Version::HTTP_2;
        return;
    }
    let from_host = || Authority::try_from(host?.as_bytes()).ok();
    let authority = head.uri.authority().cloned().or_else(from_host);
    let path = path_of(&head.uri);
    let Some(authority) = authority else {
        // Without an authority, h2 accepts the target only of an HTTP/1 request.
        head.version = Version::HTTP_11;
        head.uri = Uri::from(path);
        return;
    };
    head.version = Version::HTTP_2;
    let mut target = uri::Parts::default();
    target.scheme = Some(Scheme::HTTP);
    target.authority = Some(authority);
    target.path_and_query = Some(path);
    // With all three parts it is a valid URI; if not, the old one stays.
    if let Ok(uri) = Uri::from_parts(target) {
        head.uri = uri;
    }
}

fn path_of(uri: &Uri) -> PathAndQuery {
    let path = uri.path_and_query();
    path.cloned().unwrap_or(PathAndQuery::from_static("/"))
}

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::front::headers::fields::Fields;
    use crate::front::server::Client;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));

    fn request(uri: &str, headers: &[(&str, &str)]) -> Request<()> {
        let request = headers
            .iter()
            .fold(Request::builder().uri(uri), |r, (name, value)| {
                r.header(*name, *value)
            });
        request.body(()).unwrap()
    }

    fn forwarded(request: Request<()>, protocol: Protocol) -> Request<()> {
        let hop = Hop {
            via: Received::new("me".to_owned()),
            trusted: Vec::new(),
        };
        let (head, ()) = request.into_parts();
        let mut request = Inbound {
            fields: Fields::of(&head.headers),
            head,
            body: None,
            client: Client::new((CLIENT, 7).into()),
        };
        hop.forward(&mut request, protocol);
        Request::from_parts(request.head, ())
    }

    #[test]
    fn hop_by_hop_headers_are_removed() {
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
            [
                "host",
                "via",
                "x-forwarded-for",
                "x-forwarded-proto",
                "x-kept"
            ]
        );
        assert_eq!(request.uri(), "/a?b=c");
    }

    #[test]
    fn te_is_forwarded_only_as_trailers() {
        let request = forwarded(request("/", &[("te", "gzip, Trailers")]), Protocol::Http2);
        assert_eq!(request.headers()[header::TE], "trailers");
        let request = forwarded(self::request("/", &[("te", "gzip")]), Protocol::Http2);
        assert!(!request.headers().contains_key(header::TE));
    }

    #[test]
    fn the_authority_is_written_where_the_protocol_has_it() {
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
    fn the_client_is_appended_to_x_forwarded_for() {
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

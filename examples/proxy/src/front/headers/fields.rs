//! Which fields a request has.

use http::header::HeaderMap;

use crate::front::protocol::Dialect;
use crate::transport::headers::{field_size, is_forwarded, is_hop_by_hop};

/// What one pass over a request's fields has found, so that the layers of the front need not look up fields that are
/// seldom there.
///
/// A field that was found may have been removed since, because `Connection` named it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fields {
    /// The protocol by the `content-type`.
    pub dialect: Dialect,
    /// The size of all fields in bytes, as [`size`](crate::transport::headers::size) counts it.
    pub size: usize,
    /// The number of `Host` fields.
    pub hosts: usize,
    /// The number of `Cookie` fields.
    pub cookies: usize,
    /// What the `TE` fields say.
    pub te: Te,
    /// Whether there is a `Transfer-Encoding`.
    pub transfer_encoding: bool,
    /// Whether there is a hop-by-hop field other than `TE`.
    pub hop_by_hop: bool,
    /// Whether there is a `Via`.
    pub via: bool,
    /// Whether there is an `x-forwarded-for`.
    pub forwarded_for: bool,
    /// Whether there is any other field in which a proxy describes a client.
    pub forwarded: bool,
}

/// What the `TE` fields say, of which `trailers` is the only member that a proxy forwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Te {
    /// There is none.
    #[default]
    Absent,
    /// There is one, and it says `trailers` and nothing else, as it must over HTTP/2 (RFC 9113, 8.2.2).
    Trailers,
    /// Anything else.
    Other,
}

impl Fields {
    /// Finds out which of them are among `headers`.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        // The first `content-type` counts.
        let mut typed = false;
        for (name, value) in headers {
            let name = name.as_str();
            found.size += field_size(name, value);
            match name {
                "content-type" if !typed => {
                    found.dialect = Dialect::of_type(value);
                    typed = true;
                }
                "cookie" => found.cookies += 1,
                "host" => found.hosts += 1,
                "te" if found.te == Te::Absent && value == "trailers" => found.te = Te::Trailers,
                "te" => found.te = Te::Other,
                "via" => found.via = true,
                "x-forwarded-for" => found.forwarded_for = true,
                "transfer-encoding" => {
                    found.transfer_encoding = true;
                    found.hop_by_hop = true;
                }
                other => {
                    found.hop_by_hop |= is_hop_by_hop(other);
                    found.forwarded |= is_forwarded(other);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderName, HeaderValue};

    use super::*;

    fn fields(fields: &[(&'static str, &'static str)]) -> Fields {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_static(name);
            headers.append(name, HeaderValue::from_static(value));
        }
        Fields::of(&headers)
    }

    #[test]
    fn only_a_single_te_of_trailers_is_forwarded_as_it_is() {
        assert_eq!(fields(&[]).te, Te::Absent);
        assert_eq!(fields(&[("te", "trailers")]).te, Te::Trailers);
        for other in ["Trailers", "trailers, gzip", "gzip", ""] {
            assert_eq!(fields(&[("te", other)]).te, Te::Other, "{other:?}");
        }
        let twice = [("te", "trailers"), ("te", "trailers")];
        assert_eq!(fields(&twice).te, Te::Other);
    }

    #[test]
    fn the_first_content_type_tells_the_dialect() {
        let types = [
            ("content-type", "application/grpc"),
            ("content-type", "text/plain"),
        ];
        assert_eq!(fields(&types).dialect, Dialect::Grpc);
        assert_eq!(fields(&types[1..]).dialect, Dialect::Http);
    }

    #[test]
    fn a_forwarding_header_is_found() {
        let found = |name| {
            let Fields {
                via,
                forwarded_for,
                forwarded,
                ..
            } = fields(&[(name, "1")]);
            (via, forwarded_for, forwarded)
        };
        assert_eq!(found("via"), (true, false, false));
        assert_eq!(found("x-forwarded-for"), (false, true, false));
        for other in ["x-forwarded-proto", "forwarded", "x-real-ip"] {
            assert_eq!(found(other), (false, false, true), "{other}");
        }
        assert_eq!(found("x-forwarded"), (false, false, false));
    }

    #[test]
    fn te_alone_is_no_reason_to_strip() {
        assert!(!fields(&[("te", "trailers")]).hop_by_hop);
        for name in ["connection", "transfer-encoding", "upgrade"] {
            assert!(fields(&[(name, "x")]).hop_by_hop, "{name}");
        }
        assert!(fields(&[("transfer-encoding", "x")]).transfer_encoding);
    }
}

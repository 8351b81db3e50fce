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
            found.size += field_size(name, value);
            match name.as_str() {
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

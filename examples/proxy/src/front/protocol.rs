//! What kind of answer a client can read.

use crate::transport::headers::is_grpc;
use http::header::{self, HeaderMap, HeaderValue};

/// The protocol above HTTP that a request speaks, by its `content-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// None: a status of HTTP says how it went.
    Http,
    /// gRPC, whose status is in the trailers, or in the headers of an answer without a body.
    Grpc,
    /// gRPC-Web, whose status may be in the headers as well, and whose trailers are a part of the body.
    GrpcWeb,
    /// gRPC-Web in base64.
    GrpcWebText,
}

impl Dialect {
    /// The dialect of a message with these headers.
    pub fn of(headers: &HeaderMap) -> Self {
        let Some(content_type) = headers.get(header::CONTENT_TYPE) else {
            return Self::Http;
        };
        if is_grpc(headers) {
            return Self::Grpc;
        }
        match content_type.as_bytes().strip_prefix(GRPC_WEB) {
            Some([] | [b'+' | b';', ..]) => Self::GrpcWeb,
            Some(
                [b'-', b't', b'e', b'x', b't'] | [b'-', b't', b'e', b'x', b't', b'+' | b';', ..],
            ) => Self::GrpcWebText,
            _ => Self::Http,
        }
    }

    /// The `content-type` of the proxy's own answers: to gRPC, with a status of it in the headers.
    pub fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Http => "text/plain; charset=utf-8",
            Self::Grpc => "application/grpc",
            Self::GrpcWeb => "application/grpc-web",
            Self::GrpcWebText => "application/grpc-web-text",
        })
    }
}

const GRPC_WEB: &[u8] = b"application/grpc-web";

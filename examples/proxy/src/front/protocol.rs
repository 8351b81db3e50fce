//! The kind of response that a client can read.

use http::header::{self, HeaderMap, HeaderValue};
use tower::classify::http::{is_grpc, is_grpc_web};

/// The protocol on top of HTTP that a request speaks, by its `content-type`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Plain HTTP: the result is in the HTTP status.
    #[default]
    Http,
    /// gRPC: the status is in the trailers, or in the headers of a response without a body.
    Grpc,
    /// gRPC-Web: the status may be in the headers as well, and trailers are part of the body.
    GrpcWeb,
    /// gRPC-Web in base64.
    GrpcWebText,
}

impl Dialect {
    /// Returns the dialect of a message with these headers.
    pub fn of(headers: &HeaderMap) -> Self {
        let Some(content_type) = headers.get(header::CONTENT_TYPE) else {
            return Self::Http;
        };
        if is_grpc(headers) {
            Self::Grpc
        } else if !is_grpc_web(headers) {
            Self::Http
        } else if content_type.as_bytes().starts_with(GRPC_WEB_TEXT) {
            Self::GrpcWebText
        } else {
            Self::GrpcWeb
        }
    }

    /// Returns the `content-type` of the proxy's own responses. Those to gRPC clients have the gRPC status in the
    /// headers.
    pub fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Http => "text/plain; charset=utf-8",
            Self::Grpc => "application/grpc",
            Self::GrpcWeb => "application/grpc-web",
            Self::GrpcWebText => "application/grpc-web-text",
        })
    }
}

const GRPC_WEB_TEXT: &[u8] = b"application/grpc-web-text";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_tells_the_dialect() {
        assert_eq!(Dialect::of(&HeaderMap::new()), Dialect::Http);
        for (content_type, dialect) in [
            ("text/plain", Dialect::Http),
            ("application/grpc", Dialect::Grpc),
            ("application/grpc+proto", Dialect::Grpc),
            ("application/grpc-web", Dialect::GrpcWeb),
            ("application/grpc-web+proto", Dialect::GrpcWeb),
            ("application/grpc-web; charset=x", Dialect::GrpcWeb),
            ("application/grpc-web-text", Dialect::GrpcWebText),
            ("application/grpc-web-text+proto", Dialect::GrpcWebText),
            ("application/grpc-web-text;charset=x", Dialect::GrpcWebText),
            ("application/grpc-web-textual", Dialect::Http),
            ("application/grpc-webby", Dialect::Http),
        ] {
            let content_type = (header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            let headers = HeaderMap::from_iter([content_type]);
            assert_eq!(Dialect::of(&headers), dialect, "{headers:?}");
        }
    }
}

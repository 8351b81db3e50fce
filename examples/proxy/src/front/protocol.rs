//! The kind of response that a client can read.

use http::header::{self, HeaderMap, HeaderValue};
use tower::classify::http::{GrpcKind, grpc_kind};

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
        let content_type = headers.get(&header::CONTENT_TYPE);
        content_type.map_or(Self::Http, Self::of_type)
    }

    /// Returns the dialect of a message with this `content-type`.
    pub fn of_type(content_type: &HeaderValue) -> Self {
        match grpc_kind(content_type) {
            None => Self::Http,
            Some(GrpcKind::Grpc) => Self::Grpc,
            Some(GrpcKind::Web) => Self::GrpcWeb,
            Some(GrpcKind::WebText) => Self::GrpcWebText,
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

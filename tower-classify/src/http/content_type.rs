use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

/// The variant of the gRPC protocol that a call uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrpcKind {
    /// gRPC over HTTP/2.
    Grpc,
    /// gRPC-Web.
    Web,
    /// gRPC-Web in base64.
    WebText,
}

/// Returns the kind of gRPC call that has this `content-type`, or `None` if the request is not gRPC.
pub fn grpc_kind(content_type: &HeaderValue) -> Option<GrpcKind> {
    let suffix = content_type.as_bytes().strip_prefix(b"application/grpc")?;
    let (kind, suffix) = match suffix.strip_prefix(b"-web") {
        None => (GrpcKind::Grpc, suffix),
        Some(suffix) => match suffix.strip_prefix(b"-text") {
            None => (GrpcKind::Web, suffix),
            Some(suffix) => (GrpcKind::WebText, suffix),
        },
    };
    // What follows must not be a part of the protocol's name.
    matches!(suffix, [] | [b'+' | b';', ..]).then_some(kind)
}

/// Returns whether the headers are those of a gRPC call: the `content-type` is `application/grpc`, with or without a
/// suffix such as `+proto`. gRPC-Web is not gRPC; see [`is_grpc_web`].
#[inline]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    kind(headers) == Some(GrpcKind::Grpc)
}

/// Returns whether the headers are those of a gRPC-Web call: the `content-type` is `application/grpc-web` or
/// `application/grpc-web-text`, with or without a suffix such as `+proto`.
#[inline]
pub fn is_grpc_web(headers: &HeaderMap) -> bool {
    matches!(kind(headers), Some(GrpcKind::Web | GrpcKind::WebText))
}

/// Returns whether the headers are those of a [gRPC](is_grpc) or a [gRPC-Web](is_grpc_web) call.
#[inline]
pub fn is_grpc_or_web(headers: &HeaderMap) -> bool {
    kind(headers).is_some()
}

#[inline]
fn kind(headers: &HeaderMap) -> Option<GrpcKind> {
    // A name that is passed by value would have to be dropped.
    headers.get(&CONTENT_TYPE).and_then(grpc_kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_and_grpc_web_are_distinguished_by_their_content_type() {
        for (value, grpc, web) in [
            ("application/grpc", true, false),
            ("application/grpc+proto", true, false),
            ("application/grpc; charset=x", true, false),
            ("application/grpc-web", false, true),
            ("application/grpc-web+proto", false, true),
            ("application/grpc-web-text", false, true),
            ("application/grpc-web-text+proto", false, true),
            ("application/grpc-webby", false, false),
            ("application/grpc-other", false, false),
            ("application/json", false, false),
        ] {
            let value = HeaderValue::from_static(value);
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value.clone())]);
            assert_eq!(is_grpc(&headers), grpc, "{value:?}");
            assert_eq!(is_grpc_web(&headers), web, "{value:?}");
            assert_eq!(is_grpc_or_web(&headers), grpc || web, "{value:?}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }
}

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

/// Returns whether the headers are those of a gRPC call: the `content-type` is `application/grpc`, with or without a
/// suffix such as `+proto`. gRPC-Web is not gRPC; see [`is_grpc_web`].
pub fn is_grpc(headers: &HeaderMap) -> bool {
    suffix(headers).is_some_and(ends_name)
}

/// Returns whether the headers are those of a gRPC-Web call: the `content-type` is `application/grpc-web` or
/// `application/grpc-web-text`, with or without a suffix such as `+proto`.
pub fn is_grpc_web(headers: &HeaderMap) -> bool {
    suffix(headers).is_some_and(is_web)
}

/// Returns whether the headers are those of a [gRPC](is_grpc) or a [gRPC-Web](is_grpc_web) call.
pub fn is_grpc_or_web(headers: &HeaderMap) -> bool {
    suffix(headers).is_some_and(|suffix| ends_name(suffix) || is_web(suffix))
}

fn is_web(suffix: &[u8]) -> bool {
    let suffix = suffix.strip_prefix(b"-web");
    let suffix = suffix.map(|suffix| suffix.strip_prefix(b"-text").unwrap_or(suffix));
    suffix.is_some_and(ends_name)
}

/// Returns whether what follows is not a part of the protocol's name.
const fn ends_name(suffix: &[u8]) -> bool {
    matches!(suffix, [] | [b'+' | b';', ..])
}

/// Returns the part of the `content-type` after `application/grpc`.
fn suffix(headers: &HeaderMap) -> Option<&[u8]> {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes)?;
    content_type.strip_prefix(b"application/grpc")
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

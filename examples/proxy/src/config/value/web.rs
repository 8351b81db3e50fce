//! Paths, headers and statuses.

use http::{HeaderName, StatusCode};
use tower::classify::http::Code;

use super::kind::Kind;
use crate::front::headers::path::normalize;
use crate::transport::headers::is_reserved;

/// A path in the normal form in which it is matched.
pub(in crate::config) enum NormalPath {}

/// A header that the proxy may set and remove: not one that HTTP or the proxy uses otherwise.
pub(in crate::config) enum FreeHeader {}

/// A 4xx or 5xx status.
pub(in crate::config) enum ErrorStatus {}

impl Kind for NormalPath {
    type Value = String;
    const EXPECTED: &'static str = r##"a path that begins with "/", without "?" and "#", in its normal form: no "//", no "..", no needless "%""##;

    fn text(text: &str) -> Option<String> {
        let is_path = text.starts_with('/') && !text.contains(['?', '#', ' ']);
        let is_normal = normalize(text).is_ok_and(|normal| normal == text);
        (is_path && is_normal).then(|| text.to_owned())
    }
}

impl Kind for HeaderName {
    type Value = Self;
    const EXPECTED: &'static str = r#"the name of a header such as "x-request-timeout-ms""#;

    fn text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Kind for FreeHeader {
    type Value = HeaderName;
    const EXPECTED: &'static str = r#"the name of a header such as "x-request-timeout-ms", and none that HTTP or the proxy uses itself"#;

    fn text(text: &str) -> Option<HeaderName> {
        HeaderName::text(text).filter(|name| !is_reserved(name))
    }
}

impl Kind for ErrorStatus {
    type Value = StatusCode;
    const EXPECTED: &'static str = "a status from 400 to 599";
    const LIST: &'static str = "a list of statuses such as [502, 503]";

    fn integer(number: i64) -> Option<StatusCode> {
        let status = StatusCode::from_u16(number.try_into().ok()?).ok()?;
        (status.is_client_error() || status.is_server_error()).then_some(status)
    }
}

impl Kind for Code {
    type Value = Self;
    const EXPECTED: &'static str =
        r#"the name of a gRPC status other than "ok", such as "unavailable""#;
    const LIST: &'static str = r#"a list of gRPC statuses such as ["unavailable"]"#;

    fn text(text: &str) -> Option<Self> {
        text.parse().ok().filter(|code| *code != Self::Ok)
    }
}

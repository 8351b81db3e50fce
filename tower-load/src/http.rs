//! Which responses of HTTP and gRPC are failures.

use std::time::{Duration, SystemTime};

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::Classify;
use crate::estimate::Outcome;

/// Takes for failures what tells that the server is overloaded or broken:
///
/// | | failures | the server may ask for a pause |
/// |---|---|---|
/// | HTTP | 429 and 5xx | `retry-after`, in seconds or as a date |
/// | gRPC | RESOURCE_EXHAUSTED and UNAVAILABLE | `grpc-retry-pushback-ms` |
///
/// Everything else is an answer: also a 404, and an INVALID_ARGUMENT, since another endpoint would say the same. A pause of
/// more than 300 s counts as 300 s.
///
/// Only the head of a response is looked at. A gRPC server that fails at once tells so there; for a status that comes in
/// trailers, keep the [`Handle`](crate::peak_ewma::Handle) in the body and [set the
/// outcome](crate::peak_ewma::Handle::set_outcome) then.
///
/// A 429 with a `retry-after` keeps all requests from the endpoint for that time. Where it is meant for one user of many,
/// take a closure that calls this for other statuses only.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use http::Response;
/// use tower_load::Classify;
/// use tower_load::estimate::Outcome;
/// use tower_load::http::HttpClassify;
///
/// let busy = Response::builder().status(503).header("retry-after", "5").body(()).unwrap();
/// let outcome = HttpClassify::new().classify(&busy);
/// assert_eq!(outcome, Outcome::Pushback(Duration::from_secs(5)));
/// assert_eq!(HttpClassify::new().classify(&Response::new(())), Outcome::Answered);
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct HttpClassify;

impl HttpClassify {
    /// The classification.
    pub const fn new() -> Self {
        Self
    }
}

impl<B> Classify<Response<B>> for HttpClassify {
    fn classify(&self, response: &Response<B>) -> Outcome {
        let headers = response.headers();
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return failed(retry_after(headers, SystemTime::now));
        }
        // The numbers of RESOURCE_EXHAUSTED and UNAVAILABLE.
        match headers.get("grpc-status").map(HeaderValue::as_bytes) {
            Some(b"8" | b"14") if is_grpc(headers) => failed(pushback(headers)),
            _ => Outcome::Answered,
        }
    }
}

fn failed(pause: Option<Duration>) -> Outcome {
    pause.map_or(Outcome::Failed, Outcome::Pushback)
}

/// `application/grpc`, also with a suffix such as `+proto`, and not gRPC-Web.
fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = content_type.and_then(|value| value.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest, [] | [b'+' | b';', ..]))
}

/// RFC 9110, 10.2.3: a number of seconds, or a date, which in the past asks for no pause. `None` if it cannot be read.
fn retry_after(headers: &HeaderMap, now: impl FnOnce() -> SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // What is too large for a number is a long pause, and not none.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now()).unwrap_or(Duration::ZERO))
}

/// gRFC A6: a negative number asks not to retry, which says nothing of a time; neither does what is no number.
fn pushback(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-retry-pushback-ms")?.to_str().ok()?;
    text.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn pause(seconds: u64) -> Outcome {
        Outcome::Pushback(Duration::from_secs(seconds))
    }

    fn classify(status: u16, headers: &[(&str, &str)]) -> Outcome {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        HttpClassify::new().classify(&response.body(()).unwrap())
    }

    #[test]
    fn overload_and_errors_of_the_server_are_failures() {
        for status in [429, 500, 501, 502, 503, 504, 599] {
            assert_eq!(classify(status, &[]), Outcome::Failed, "{status}");
        }
        for status in [200, 204, 301, 400, 401, 404, 408, 499] {
            assert_eq!(classify(status, &[]), Outcome::Answered, "{status}");
        }
    }

    #[test]
    fn a_pause_is_read_in_seconds_or_as_a_date() {
        for (text, expected) in [
            ("0", pause(0)),
            (" 120 ", pause(120)),
            ("99999999999999999999999", pause(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", pause(0)),
            ("", Outcome::Failed),
            ("-1", Outcome::Failed),
            ("1.5", Outcome::Failed),
            ("soon", Outcome::Failed),
        ] {
            assert_eq!(classify(503, &[("retry-after", text)]), expected, "{text}");
        }
        assert_eq!(classify(200, &[("retry-after", "5")]), Outcome::Answered);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        let date = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
        let headers = HeaderMap::from_iter([(RETRY_AFTER, date)]);
        assert_eq!(retry_after(&headers, || now), Some(Duration::from_secs(7)));
    }

    #[test]
    fn statuses_of_grpc_count_in_grpc_only() {
        let grpc = ("content-type", "application/grpc+proto");
        for (status, expected) in [
            ("0", Outcome::Answered),
            ("3", Outcome::Answered),
            ("8", Outcome::Failed),
            ("13", Outcome::Answered),
            ("14", Outcome::Failed),
            ("x", Outcome::Answered),
        ] {
            let status = ("grpc-status", status);
            assert_eq!(classify(200, &[grpc, status]), expected, "{status:?}");
            assert_eq!(classify(200, &[status]), Outcome::Answered);
        }
        let unavailable = ("grpc-status", "14");
        for (text, expected) in [
            ("1000", pause(1)),
            ("-1", Outcome::Failed),
            ("soon", Outcome::Failed),
        ] {
            let pushback = ("grpc-retry-pushback-ms", text);
            assert_eq!(classify(200, &[grpc, unavailable, pushback]), expected);
        }
        assert_eq!(classify(503, &[grpc]), Outcome::Failed, "by a proxy");
    }
}

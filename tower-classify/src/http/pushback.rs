use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName};

use super::field;
use crate::Pushback;

/// Returns the time of `retry-after` (RFC 9110, 10.2.3), which is a number of seconds or a date. A date in the past is
/// zero. Returns `None` if there is no such header, or if it cannot be parsed. `now` is only called for a date.
pub fn retry_after(headers: &HeaderMap, now: impl FnOnce() -> SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is a very long time, and must not be treated like a missing one.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now()).unwrap_or(Duration::ZERO))
}

/// Returns the `grpc-retry-pushback-ms` in the headers or trailers of a gRPC response, or `None` if there is none.
///
/// The value is a signed 32-bit number ([gRFC A6](https://github.com/grpc/proposal/blob/master/A6-client-retries.md)).
/// A negative value, or one that cannot be parsed, is [`Pushback::Never`].
pub fn pushback(headers: &HeaderMap) -> Option<Pushback> {
    let value = field::get(headers, &GRPC_RETRY_PUSHBACK_MS)?;
    let millis = value
        .to_str()
        .ok()
        .and_then(|text| text.parse::<i32>().ok());
    Some(match millis.and_then(|millis| u64::try_from(millis).ok()) {
        Some(millis) => Pushback::After(Duration::from_millis(millis)),
        None => Pushback::Never,
    })
}

const GRPC_RETRY_PUSHBACK_MS: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn seconds_and_dates_are_parsed_and_nonsense_is_not() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        let wait = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            retry_after(&headers, || now)
        };
        assert_eq!(wait("0"), Some(Duration::ZERO));
        assert_eq!(wait(" 120 "), Some(Duration::from_secs(120)));
        assert_eq!(
            wait("99999999999999999999999"),
            Some(Duration::from_secs(u64::MAX))
        );
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(wait(date), Some(Duration::from_secs(7)), "{date}");
        }
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        for nonsense in ["", "-1", "1.5", "soon", "Sun, 06 Nov 1994"] {
            assert_eq!(wait(nonsense), None, "{nonsense}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), || now), None);
    }

    #[test]
    fn a_pushback_is_a_time_or_never() {
        let of = |value| {
            let value = HeaderValue::from_static(value);
            pushback(&HeaderMap::from_iter([(GRPC_RETRY_PUSHBACK_MS, value)]))
        };
        assert_eq!(of("0"), Some(Pushback::After(Duration::ZERO)));
        assert_eq!(
            of("1500"),
            Some(Pushback::After(Duration::from_millis(1500)))
        );
        for never in ["-1", "soon", "", "1.5", "99999999999"] {
            assert_eq!(of(never), Some(Pushback::Never), "{never}");
        }
        assert_eq!(pushback(&HeaderMap::new()), None);
    }
}

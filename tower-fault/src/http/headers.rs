use std::str::FromStr;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

/// The faults that the headers of a request ask for.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Asked {
    pub(super) delay: Option<Duration>,
    pub(super) status: Option<StatusCode>,
    pub(super) body_bytes: Option<u64>,
}

impl Asked {
    /// Reads the headers; a delay is at most `max_delay`.
    pub(super) fn read(headers: &HeaderMap, max_delay: Duration) -> Self {
        let delay = number(headers, "x-fault-delay-ms").map(Duration::from_millis);
        let status = number(headers, "x-fault-status")
            .filter(|status| (200..600).contains(status))
            .and_then(|status: u16| StatusCode::from_u16(status).ok());
        Self {
            delay: delay.map(|delay| delay.min(max_delay)),
            status,
            body_bytes: number(headers, "x-fault-body-bytes"),
        }
    }
}

fn number<N: FromStr>(headers: &HeaderMap, name: &str) -> Option<N> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_valid_is_ignored() {
        let asked = |name: &'static str, value: &'static str| {
            let headers = [(name.parse().unwrap(), value.parse().unwrap())];
            Asked::read(&HeaderMap::from_iter(headers), Duration::from_secs(1))
        };
        let none = Asked::default();
        for value in ["", "-1", "1.5", "x", "99999999999999999999"] {
            assert_eq!(asked("x-fault-delay-ms", value), none);
            assert_eq!(asked("x-fault-body-bytes", value), none);
            assert_eq!(asked("x-fault-status", value), none);
        }
        for status in ["0", "101", "199", "600", "999", "70000"] {
            assert_eq!(asked("x-fault-status", status), none);
        }
        assert_eq!(asked("x-fault-status", "599").status.unwrap(), 599);
        assert_eq!(asked("x-fault-body-bytes", "0").body_bytes, Some(0));
        let delay = |value| asked("x-fault-delay-ms", value).delay.unwrap();
        assert_eq!(delay("20"), Duration::from_millis(20));
        assert_eq!(delay("18446744073709551615"), Duration::from_secs(1));
    }
}

//! Defaults of single keys; those of whole tables are with their types.

use std::time::Duration;

use http::HeaderName;

pub(super) fn drain_timeout() -> Duration {
    Duration::from_secs(30)
}

pub(super) fn max_header_bytes() -> usize {
    64 * 1024
}

pub(super) fn path() -> String {
    "/".to_owned()
}

pub(super) fn timeout_header() -> HeaderName {
    HeaderName::from_static("x-request-timeout-ms")
}

pub(super) fn idle_timeout() -> Option<Duration> {
    Some(Duration::from_secs(5 * 60))
}

pub(super) fn upload_idle_timeout() -> Option<Duration> {
    Some(Duration::from_secs(60))
}

pub(super) fn connect_timeout() -> Duration {
    Duration::from_secs(1)
}

pub(super) fn failfast_timeout() -> Duration {
    Duration::from_secs(3)
}

pub(super) fn queue_capacity() -> usize {
    1024
}

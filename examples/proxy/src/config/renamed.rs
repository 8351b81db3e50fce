//! Keys that had another name in earlier versions.

/// Returns the current name of `key`, or `None` if that is not one of `accepted`.
pub(super) fn name_of(key: &str, accepted: &[&str]) -> Option<&'static str> {
    let mut renamed = RENAMED.iter();
    let found = renamed.find(|(old, new)| *old == key && accepted.contains(new));
    found.map(|(_, new)| *new)
}

/// Old and new name. A name may have been in use in two tables; what is accepted tells them apart.
const RENAMED: &[(&str, &str)] = &[
    ("drain", "drain_timeout"),
    ("max_head_size", "max_header_bytes"),
    ("max_head_fields", "max_headers_count"),
    // [admin]
    ("hosts", "allowed_hosts"),
    // [clients] and [clusters.NAME.connections]
    ("head_timeout", "request_headers_timeout"),
    ("max", "max_connections"),
    ("max_age", "max_connection_age"),
    ("keep_alive", "keep_alive_interval"),
    ("max_streams", "max_concurrent_streams"),
    ("stream_window", "initial_stream_window_size"),
    // [routes.limits]
    ("concurrency", "max_in_flight"),
    ("request_buffer", "request_buffer_bytes"),
    // [routes.retry]
    ("attempts", "max_attempts"),
    ("budget", "retry_ratio"),
    ("min_per_second", "min_retries_per_second"),
    ("backoff", "initial_backoff"),
    ("attempt_timeout", "per_try_timeout"),
    ("statuses", "retriable_status_codes"),
    ("grpc_codes", "retriable_grpc_codes"),
    ("replay_bytes", "max_replay_bytes"),
    // [routes.hedge]
    ("floor", "min_delay"),
    ("budget", "max_extra_load"),
    // [clusters.NAME]
    ("balancer", "lb_policy"),
    ("hash", "hash_policy"),
    ("unavailable_timeout", "failfast_timeout"),
    ("buffer", "queue_capacity"),
    ("outliers", "outlier_detection"),
    // [clusters.NAME.outlier_detection]
    ("consecutive", "consecutive_failures"),
    ("ejection_time", "base_ejection_time"),
];

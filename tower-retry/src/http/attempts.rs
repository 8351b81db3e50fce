use http::{HeaderMap, HeaderName, HeaderValue};

/// Adds `more` to the header `grpc-previous-rpc-attempts`, the number of attempts before this one. A missing or invalid header
/// counts as 0.
pub fn count_attempts(headers: &mut HeaderMap, more: u32) {
    let before = headers.get(GRPC_PREVIOUS_RPC_ATTEMPTS);
    let before = before.and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    let attempts = before.unwrap_or(0).saturating_add(more);
    headers.insert(GRPC_PREVIOUS_RPC_ATTEMPTS, HeaderValue::from(attempts));
}

const GRPC_PREVIOUS_RPC_ATTEMPTS: HeaderName =
    HeaderName::from_static("grpc-previous-rpc-attempts");

//! Sends a stream of requests to a service, and returns a stream of results.

mod common;
mod ordered;
mod unordered;

pub use self::ordered::CallAll;
pub use self::unordered::CallAllUnordered;

/// The default limit of requests in flight: more than most services handle at a time, and a bound on memory for callers
/// that do not set a limit.
const MAX_IN_FLIGHT: usize = 1 << 16;

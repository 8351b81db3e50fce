//! One service, a stream of requests, a stream of results.

mod common;
mod ordered;
mod unordered;

pub use self::ordered::CallAll;
pub use self::unordered::CallAllUnordered;

/// How many requests may be in flight unless told otherwise: far more than a sensible service takes at a time, and a
/// bound on the memory of those who forgot a limit.
const MAX_IN_FLIGHT: usize = 1 << 16;

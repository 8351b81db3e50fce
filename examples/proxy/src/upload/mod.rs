//! Bodies on their way up: from a client that may be slow, to an endpoint that may not read.
//!
//! - [`UploadBody`] is what the client sends. A request waits until [it has begun](UploadBody::arrive) before it takes
//!   its place on its route and a connection to an endpoint.
//! - [`ResponseTimeoutLayer`] counts a route's timeout from the end of the request.
//! - [`SentBody`] is that body in one attempt, and [`Upload`] what its two ends know of each other: an endpoint that does
//!   not read, a client whose body fails, an answer that has come to its end before the body has.

mod accept;
mod attempt;
mod attended;
mod body;
mod failure;
mod response_timeout;

pub use self::accept::UploadLimits;
pub use self::attempt::{SentBody, Upload};
pub use self::attended::Attended;
pub use self::body::{Arrival, UploadBody};
pub use self::failure::BodyFailure;
pub use self::response_timeout::{ResponseTimeout, ResponseTimeoutFuture, ResponseTimeoutLayer};

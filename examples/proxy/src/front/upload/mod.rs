//! The bodies of requests, from a client that may be slow.
//!
//! [`UploadBody`] is what the client sends. A request waits until [its body has begun to
//! arrive](UploadBody::poll_arrived) before it takes a permit of its route and a connection to an endpoint.

mod body;
mod failure;
mod limits;

pub use self::body::{Arrival, UploadBody};
pub use self::failure::BodyFailure;
pub use self::limits::UploadLimits;

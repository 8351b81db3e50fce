//! The bodies of requests, from a client that may be slow.
//!
//! [`UploadBody`] is what the client sends. A request waits until [it has begun](UploadBody::poll_arrived) before it takes
//! its place on its route and a connection to an endpoint.

mod body;
mod failure;
mod limits;

pub use self::body::{Arrival, UploadBody};
pub use self::failure::BodyFailure;
pub use self::limits::UploadLimits;

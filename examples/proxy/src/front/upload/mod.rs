//! The bodies of requests, from a client that may be slow.
//!
//! [`ClientBody`] is what the client sends, and [`UploadBody`] the same under its time limits. A request waits until
//! [its body has begun to arrive](UploadBody::poll_arrived) before it takes a permit of its route and a connection to
//! an endpoint.

mod body;
mod client;
mod failure;
mod limits;

pub use self::body::{Arrival, UploadBody};
pub use self::client::ClientBody;
pub use self::failure::BodyFailure;
pub use self::limits::UploadLimits;

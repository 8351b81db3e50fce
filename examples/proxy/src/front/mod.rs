//! The side of the clients: their connections, and what happens to a request before its route's stack.

pub mod body;
pub mod count;
pub mod handling;
pub mod headers;
pub(crate) mod malformed;
pub mod protocol;
pub mod proxy;
pub mod rescue;
pub mod router;
pub mod server;
pub mod upload;

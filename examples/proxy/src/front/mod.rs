//! The side of the clients: their connections, and the layers that a request passes before its route's stack.
//!
//! `stack` puts the layers together. Each is ready at any time, as far down as [`arrive`]: which route a request needs, and so
//! what must be ready for it, is not known before it is there.

pub mod arrive;
pub mod body;
pub mod count;
pub mod failure;
pub mod forward;
pub mod headers;
pub(crate) mod malformed;
pub mod protocol;
pub mod refused;
pub mod rescue;
pub mod route;
pub mod router;
pub mod server;
pub mod upload;
pub mod validate;

//! The client side: connections from clients, and the layers that a request passes before the stack of its route.
//!
//! `stack` puts the layers together. All of them down to [`arrive`] are always ready: which route a request needs, and
//! so which service must be ready, is known only once the request is there.

pub mod arrive;
pub mod body;
pub mod count;
pub mod failure;
pub mod forward;
pub mod headers;
pub mod inbound;
pub(crate) mod malformed;
pub mod protocol;
pub mod refused;
pub mod rescue;
pub mod route;
pub mod router;
pub mod server;
pub mod upload;
pub mod validate;

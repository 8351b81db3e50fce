//! Services that create other services ([`MakeService`]) or connections ([`MakeConnection`]).
//!
//! Both traits are aliases for a [`Service`](tower_service::Service) with such a response, for shorter bounds. They are
//! implemented for every such service, and cannot be implemented otherwise. Where a plain function can create the
//! service, neither is needed.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use tower_util::{ServiceExt, make::{MakeService, Shared}, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // Returns the same service for every target, for example for every connection that a server accepts.
//! let mut make = Shared::new(service_fn(async |n: u32| Ok::<_, Infallible>(n + 1)));
//! let service = make.make_service("127.0.0.1:4711").await.unwrap();
//! assert_eq!(service.oneshot(1).await, Ok(2));
//! # }
//! ```

mod connection;
mod service;
mod shared;

pub use self::connection::MakeConnection;
pub use self::service::{AsService, IntoService, MakeService};
pub use self::shared::Shared;

/// Response futures.
pub mod future {
    pub use super::shared::SharedFuture;
}

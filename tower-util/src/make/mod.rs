//! Services that make something: other services ([`MakeService`]), or connections ([`MakeConnection`]).
//!
//! Both are other names for a [`Service`](tower_service::Service) with such a response: ask for them in bounds, where they
//! read better. There is nothing to implement, and no need for them where a plain function makes the service.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use tower_util::{ServiceExt, make::{MakeService, Shared}, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // Makes the same service for every target, for instance for every connection that a server accepts.
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

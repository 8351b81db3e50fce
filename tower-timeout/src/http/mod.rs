//! Deadlines that travel with HTTP and gRPC requests, and timeouts of bodies.
//!
//! A server takes the deadline of a request from its headers with [`AcceptDeadline`] and keeps it among the request's
//! extensions, as a [`Deadline`](crate::Deadline). What the server does for the request can look at it there; the retries of
//! `tower-retry` do. A client tells the next hop what is left with [`ForwardDeadline`], if the request that it sends has a
//! deadline among its extensions. So the time shrinks from hop to hop, and nobody works for a caller who has given up.
//!
//! [`BodyTimeout`] bounds what a timeout of the response does not: the time between the pieces of a body, and of a whole body.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::time::Duration;
//! use http::{Request, Response};
//! use tokio::time::sleep;
//! use tower_layer::Layer;
//! use tower_timeout::error::DeadlineExceeded;
//! use tower_timeout::http::{AcceptDeadlineLayer, ForwardDeadlineLayer};
//! use tower_util::{BoxError, ServiceExt, service_fn};
//!
//! // The next server tells what it was told.
//! let next = service_fn(async |request: Request<()>| {
//!     Ok::<_, BoxError>(Response::new(request.headers()["x-request-timeout-ms"].clone()))
//! });
//! let client = ForwardDeadlineLayer::new().margin(Duration::from_millis(5)).layer(next);
//! let server = service_fn(move |request: Request<()>| {
//!     let client = client.clone();
//!     async move {
//!         sleep(Duration::from_millis(100)).await;
//!         client.oneshot(request).await
//!     }
//! });
//! let server = AcceptDeadlineLayer::new().max(Duration::from_secs(10)).layer(server);
//!
//! let request = |timeout| Request::get("/").header("x-request-timeout-ms", timeout).body(()).unwrap();
//! let response = server.clone().oneshot(request("250")).await.unwrap();
//! assert_eq!(response.into_body(), "145");
//! assert!(server.oneshot(request("90")).await.unwrap_err().is::<DeadlineExceeded>());
//! # }
//! ```

mod accept;
mod body;
mod body_timeout;
mod forward;
mod header;
mod pulse;

pub use self::accept::{AcceptDeadline, AcceptDeadlineLayer, DeadlineFuture};
pub use self::body::{BodyTimedOut, TimeoutBody};
pub use self::body_timeout::{BodyTimeout, BodyTimeoutFuture, BodyTimeoutLayer};
pub use self::forward::{ForwardDeadline, ForwardDeadlineLayer};
pub use self::header::InvalidTimeout;
pub use self::pulse::Pulse;

//! Deadlines that propagate with HTTP and gRPC requests, and timeouts of bodies.
//!
//! [`AcceptDeadline`], on a server, reads the deadline of a request from its headers and puts it into the request's
//! extensions, as a [`Deadline`](crate::Deadline). Other layers find it there; the retries of `tower-retry` do.
//! [`ForwardDeadline`], on a client, sends the remaining time to the next hop if the extensions of its request hold a
//! deadline. So each hop has less time than the one before, and none works on a request that its caller has given up on.
//!
//! [`BodyTimeout`] covers what a timeout of the response head does not: the time between the frames of a body, and the
//! time of a whole body.
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
//! // The next server responds with the header that it received.
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
#[doc(no_inline)]
pub use tower_classify::http::grpc_timeout;

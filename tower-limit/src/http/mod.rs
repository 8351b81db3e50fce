//! Limits for HTTP that count a request until the body of its response has ended.
//!
//! The permit of a [`ConcurrencyLimit`](crate::ConcurrencyLimit) returns with the response, and for HTTP that is with its head:
//! the bodies that are still being sent are not limited. `hold_until_body_end` of the limit, of its layers, and of those with
//! `shed` or `max_wait`, keeps the permit in the body. It returns at the end of the body, when the body fails, or when it is
//! dropped.
//!
//! Use it if bodies are long (downloads, streams) or hold what the limit protects, such as connections and buffers. Then the
//! limit must have room for clients that read slowly: add a timeout for bodies. A response with an empty body holds no permit.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::convert::Infallible;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower_layer::Layer;
//! use tower_limit::ConcurrencyLimitLayer;
//! use tower_limit::error::LimitExceeded;
//! use tower_util::{ServiceExt, service_fn};
//!
//! let download = service_fn(async |_: Request<()>| {
//!     Ok::<_, Infallible>(Response::new(Full::new(&b"some bytes"[..])))
//! });
//! let service = ConcurrencyLimitLayer::new(1).shed().hold_until_body_end().layer(download);
//!
//! let response = service.clone().oneshot(Request::new(())).await.unwrap();
//! let error = service.clone().oneshot(Request::new(())).await.unwrap_err();
//! assert!(error.is::<LimitExceeded>());
//! assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "some bytes");
//! assert!(service.oneshot(Request::new(())).await.is_ok());
//! # }
//! ```
//!
//! # Readiness, Clone, Errors
//!
//! Those of the limit.
//!
//! # Cancellation
//!
//! Dropping the response future, the response or its body returns the permit.
//!
//! # Cost
//!
//! A branch per frame of a body. Nothing is allocated.

mod body;
pub mod future;
mod layer;
mod service;

pub use self::body::HoldBody;
pub use self::layer::HoldUntilBodyEndLayer;
pub(crate) use self::layer::{holding_layer, holding_service};
pub use self::service::HoldUntilBodyEnd;

//! Retries of HTTP requests and gRPC calls.
//!
//! [`RetryPolicy::http`] decides which requests may be retried, and [`HttpRetryLayer`] buffers request bodies so that they can be
//! replayed.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use http::{Request, Response, StatusCode};
//! use http_body_util::{BodyExt, Full};
//! use tower_layer::Layer;
//! use tower_retry::RetryPolicy;
//! use tower_retry::http::{HttpRetryLayer, ReplayBody};
//! use tower_util::{BoxError, ServiceExt, service_fn};
//!
//! type Body = Full<bytes::Bytes>;
//!
//! # let attempts = &std::cell::Cell::new(0);
//! // Responds to the first request with 503, and echoes the body of the second.
//! let client = service_fn(|request: Request<ReplayBody<Body>>| async move {
//!     let body = request.into_body().collect().await?.to_bytes();
//!     let mut response = Response::new(Body::from(body));
//! #   attempts.set(attempts.get() + 1);
//! #   if attempts.get() == 1 {
//!     *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
//! #   }
//!     Ok::<_, BoxError>(response)
//! });
//! let client = HttpRetryLayer::new(RetryPolicy::http().attempts(3).build()).layer(client);
//!
//! let response = client.oneshot(Request::put("/").body(Body::from("hello")).unwrap()).await.unwrap();
//! assert_eq!(response.status(), StatusCode::OK);
//! assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
//! # }
//! ```
//!
//! # What is retried
//!
//! | | HTTP request | gRPC call (recognized by its `content-type`) |
//! |---|---|---|
//! | the request was never processed: an error [`Unsent`](tower_classify::Unsent), a refused stream, or [`errors`](crate::Builder::errors) returns `Class::Unsent` | always; the first time immediately and without drawing on the budget | the same |
//! | the connection broke | if the request may be repeated | if the request may be repeated |
//! | the response is a transient failure | for the [`statuses`](crate::Builder::statuses), by default 502, 503 and 504, and 429 with a `retry-after`, if the request may be repeated | for the [`grpc_codes`](crate::Builder::grpc_codes), by default UNAVAILABLE |
//! | the server sets the delay | `retry-after`, in seconds or as a date; not retried if longer than [`retry_after_max`](crate::Builder::retry_after_max) | `grpc-retry-pushback-ms`: after exactly that time; not retried if it is negative, not a number, or longer than that maximum; `retry-after` if the response is not a gRPC response |
//!
//! A request **may be repeated** if its method is idempotent (RFC 9110, 9.2.2: GET, HEAD, OPTIONS, TRACE, PUT, DELETE; see
//! [`methods`](crate::Builder::methods)), or if it has an `idempotency-key`.
//!
//! Retries of a gRPC call have the header `grpc-previous-rpc-attempts`. No attempt begins after the request's
//! [`Deadline`](tower_timeout::Deadline), if that is among the request's extensions. All attempts share a
//! [`Tried`](tower_util::Tried) among the extensions, with which a balancer sends each to another endpoint.
//!
//! # Bodies
//!
//! See [`ReplayBody`]. A body longer than the limit of 64 KiB (see [`replay_limit`](crate::Builder::replay_limit)) is passed
//! through, and the request is retried only if none of it was read. Bodies of requests that are never retried (CONNECT,
//! upgrades, or a policy of one attempt) are not buffered.
//!
//! The response is returned to the caller with its head, and nothing is retried after that. The status of a gRPC call may come at
//! the end, in trailers: see [`PeekTrailers`].

mod attempts;
mod peek;
mod replay;
mod rules;
mod service;

pub use self::attempts::count_attempts;
pub use self::peek::{PeekBody, PeekFuture, PeekTrailers};
pub use self::replay::{ReplayBody, ReplayError};
pub use self::rules::{HttpRules, RetryErrors};
pub use self::service::{HttpRetry, HttpRetryLayer};

use crate::RetryPolicy;

impl RetryPolicy {
    /// Returns a builder for HTTP requests and gRPC calls; see [`http`](crate::http). Its defaults are those of
    /// [`RetryPolicy::builder`], and: the statuses 502, 503 and 504, and 429 if it comes with a `retry-after`; the gRPC code
    /// UNAVAILABLE; a `retry-after` of at most 30 seconds; and bodies of at most 64 KiB.
    pub fn http() -> crate::Builder<HttpRules> {
        crate::Builder::new(HttpRules::new())
    }
}

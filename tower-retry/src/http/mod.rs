//! Retries of HTTP and gRPC requests.
//!
//! [`RetryPolicy::http`] knows what may be sent twice, and [`HttpRetryLayer`] keeps what was sent of a body, so that it can
//! be sent again.
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
//! // Answers the first request with 503, and echoes the second one.
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
//! # What is sent again
//!
//! | | HTTP | gRPC (by its `content-type`) |
//! |---|---|---|
//! | the request reached nobody: an error [`Unsent`](tower_classify::Unsent), a stream that was refused, or what [`errors`](crate::Builder::errors) says | always; the first time at once and for nothing | the same |
//! | the connection broke | if the request may be repeated | if it may be repeated |
//! | the answer | one of the [`statuses`](crate::Builder::statuses), by default 502, 503 and 504, and 429 with a `retry-after`, if the request may be repeated | one of the [`grpc_codes`](crate::Builder::grpc_codes), by default UNAVAILABLE |
//! | what the server says | `retry-after`, in seconds or as a date; over [a maximum](crate::Builder::retry_after_max) it is not sent again | `grpc-retry-pushback-ms`: exactly that long, and not at all if it is negative, no number, or over that maximum; `retry-after` of an answer that is none of gRPC |
//!
//! A request **may be repeated** if its method is idempotent (RFC 9110, 9.2.2: GET, HEAD, OPTIONS, TRACE, PUT, DELETE; see
//! [`methods`](crate::Builder::methods)), or if it has an `idempotency-key`.
//!
//! A further attempt at a gRPC call tells its number in `grpc-previous-rpc-attempts`. None begins after the request's
//! [`Deadline`](tower_timeout::Deadline), if it has one among its extensions. All attempts share a
//! [`Tried`](tower_util::Tried) among the extensions, by which a balancer gives each to another endpoint.
//!
//! # Bodies
//!
//! See [`ReplayBody`]. A body over the limit of 64 KiB (see [`replay_limit`](crate::Builder::replay_limit)) goes through, and the
//! request is sent again only if nothing of it was read. Requests that are never sent again (CONNECT, upgrades, one
//! attempt) are not touched.
//!
//! The response goes to the caller with its head, and from then on nothing is tried again. The status of a gRPC call comes at
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
    /// Returns a builder for HTTP and gRPC; see [`http`](crate::http). Its defaults are those of [`RetryPolicy::builder`], and:
    /// the statuses 502, 503 and 504, and 429 if it comes with a `retry-after`; the gRPC code UNAVAILABLE; a `retry-after` of
    /// 30 seconds at most; and 64 KiB of a body.
    pub fn http() -> crate::Builder<HttpRules> {
        crate::Builder::new(HttpRules::new())
    }
}

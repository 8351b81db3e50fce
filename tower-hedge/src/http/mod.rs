//! What may be hedged of HTTP and gRPC, and which answers win.
//!
//! [`HttpPolicy`] says which requests may be sent again, [`HttpClassify`] which answers count:
//!
//! | | hedged | wins | loses | ends the call |
//! |---|---|---|---|---|
//! | HTTP | GET, HEAD, OPTIONS, TRACE, and what has an `idempotency-key` | any other status | 5xx and 429 | |
//! | gRPC | if you [say so](HttpPolicy::grpc) | no status in the head, or OK | UNAVAILABLE | any other status in the head |
//!
//! Only the head of an answer is looked at. gRPC tells a failure there if there is no message; a status that comes in
//! trailers is the caller's.
//!
//! A gRPC server says in `grpc-retry-pushback-ms` when the next request may come; a negative number, and what is none, says
//! never. A status that loses without it has the next request sent at once, within the budget.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_hedge::BoxError> {
//! use std::time::Duration;
//! use http::{Request, Response, StatusCode};
//! use tower_hedge::http::{HttpClassify, HttpPolicy};
//! use tower_hedge::{BoxError, HedgeLayer};
//! use tower_layer::Layer;
//! use tower_util::{ServiceExt, service_fn};
//!
//! # let calls = std::cell::Cell::new(0);
//! // Answers the first request with 503 after a second, the second one after two.
//! let client = service_fn(|_: Request<String>| {
//! #   calls.set(calls.get() + 1);
//! #   let call = calls.get();
//!     async move {
//! #       tokio::time::sleep(Duration::from_secs(call)).await;
//!         let mut response = Response::new(String::from("hello"));
//! #       if call == 1 {
//!         *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
//! #       }
//!         Ok::<_, BoxError>(response)
//!     }
//! });
//! let layer = HedgeLayer::builder()
//!     .policy(HttpPolicy::new())
//!     .classify(HttpClassify::new())
//!     .delay(Duration::from_millis(100))
//! #   .budget(std::sync::Arc::new(tower_retry::budget::TpsBudget::default()))
//!     .build()?;
//!
//! let response = layer.layer(client).oneshot(Request::new(String::new())).await?;
//! assert_eq!(response.status(), StatusCode::OK);
//! # Ok(())
//! # }
//! ```

mod classify;
mod policy;

pub use self::classify::HttpClassify;
pub use self::policy::HttpPolicy;

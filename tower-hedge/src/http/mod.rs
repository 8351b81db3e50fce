//! Policy and classification for HTTP and gRPC.
//!
//! [`HttpPolicy`] decides which requests may be hedged, and [`HedgeResponses`] which responses win:
//!
//! | | hedged | wins | loses | fatal |
//! |---|---|---|---|---|
//! | HTTP | GET, HEAD, OPTIONS, TRACE, and requests with an `idempotency-key` | any other status | 5xx and 429 | |
//! | gRPC | if [enabled](HttpPolicy::grpc) | no status in the head, or OK | UNAVAILABLE, RESOURCE_EXHAUSTED with a pushback | any other status in the head |
//!
//! Only the head of a response is classified. A gRPC server that fails without a message sends the status there; a
//! status in the trailers goes to the caller.
//!
//! A gRPC server sends in `grpc-retry-pushback-ms` how long to wait before the next attempt; after a negative or
//! invalid value, no attempt is sent. After a losing status without pushback, the next attempt is sent immediately,
//! within the budget.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_hedge::BoxError> {
//! use std::time::Duration;
//! use http::{Request, Response, StatusCode};
//! use tower_hedge::http::{HedgeResponses, HttpPolicy};
//! use tower_hedge::{BoxError, HedgeLayer};
//! use tower_layer::Layer;
//! use tower_util::{ServiceExt, service_fn};
//!
//! # let calls = std::cell::Cell::new(0);
//! // Responds to the first attempt with 503 after a second, to the second after two.
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
//!     .classify(HedgeResponses::new())
//!     .delay(Duration::from_millis(100))
//! #   .budget(std::sync::Arc::new(tower_retry::budget::TpsBudget::default()))
//!     .build()?;
//!
//! let response = layer.layer(client).oneshot(Request::new(String::new())).await?;
//! assert_eq!(response.status(), StatusCode::OK);
//! # Ok(())
//! # }
//! ```

mod policy;
mod responses;

pub use self::policy::HttpPolicy;
pub use self::responses::HedgeResponses;

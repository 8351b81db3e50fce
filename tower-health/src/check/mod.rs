//! Active checks: each endpoint is asked now and then whether it is well.
//!
//! A check is a service: its request is the key of the endpoint, and it answers with a [`Verdict`]. [`CheckHealth`] calls it
//! for each endpoint, at once when the endpoint comes, and then in intervals. An endpoint gets requests after its first
//! check that finds it healthy; until the first check has ended, nothing is known of it, and it does not count for panic.
//!
//! There are checks by TCP, HTTP and gRPC behind the features `check-tcp`, `check-http` and `check-grpc`.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use tower_health::check::{CheckConfig, CheckHealth, Verdict};
//! use tower_balance::p2c::Balance;
//! use tower_discover::ServiceList;
//! use tower_load::Constant;
//! use tower_service::Service;
//! use tower_util::{BoxError, ServiceExt, service_fn};
//!
//! let endpoints = ["first", "second"].map(|name| {
//!     Constant::new(service_fn(move |()| async move { Ok::<_, BoxError>(name) }), 1)
//! });
//! // The keys of a list are 0, 1, and so on.
//! let check = service_fn(|key: usize| async move {
//!     Ok::<_, BoxError>(if key == 1 { Verdict::Healthy } else { Verdict::Failing })
//! });
//! let list = ServiceList::new::<()>(endpoints);
//! let discover = CheckHealth::new(list, CheckConfig::default(), check).unwrap();
//! let health = discover.health().clone();
//! let mut balance = Balance::new(discover);
//!
//! // With half of the endpoints well, there is no panic.
//! for _ in 0..10 {
//!     assert_eq!(balance.ready().await.unwrap().call(()).await.unwrap(), "second");
//! }
//! assert_eq!((health.well(), health.len()), (1, 2));
//! # }
//! ```

mod config;
#[cfg(feature = "check-grpc")]
mod grpc;
#[cfg(feature = "check-grpc")]
mod health_v1;
#[cfg(feature = "check-http")]
mod http;
mod round;
mod rule;
mod state;
#[cfg(feature = "check-tcp")]
mod tcp;
mod wrapper;

pub use self::config::CheckConfig;
#[cfg(feature = "check-grpc")]
pub use self::grpc::{GrpcCheck, GrpcCheckError};
#[cfg(feature = "check-http")]
pub use self::http::HttpCheck;
#[doc(hidden)]
pub use self::rule::Checks;
pub use self::state::{CheckState, Verdict};
#[cfg(feature = "check-tcp")]
pub use self::tcp::TcpCheck;
pub use self::wrapper::CheckHealth;

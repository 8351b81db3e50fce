//! Active health checks: checks each endpoint at intervals, and ejects it while the checks fail.
//!
//! A check is a service: its request is the key of an endpoint, and its response is a [`Verdict`]. [`CheckHealth`]
//! calls it for each endpoint, immediately when the endpoint is added, and then at intervals. An endpoint receives
//! requests once a check has found it healthy. Until its first check has ended, it does not count for the panic
//! threshold.
//!
//! The features `check-tcp`, `check-http` and `check-grpc` provide checks over TCP, HTTP and gRPC.
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
//! // Half of the endpoints are healthy, so panic mode is off.
//! for _ in 0..10 {
//!     assert_eq!(balance.ready().await.unwrap().call(()).await.unwrap(), "second");
//! }
//! assert_eq!((health.healthy(), health.len()), (1, 2));
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

//! Load measurements of services, for load balancers.
//!
//! A service that implements [`Load`] reports its load as a [`Metric`](Load::Metric) that can be compared. Balancers
//! prefer the service with the lower load. Wrap the service of each endpoint in one of these:
//!
//! | wrapper | load | use it if |
//! |---|---|---|
//! | [`PendingRequests`] | the number of requests in flight | endpoints are similar, and requests have similar costs |
//! | [`PeakEwma`] | latency (an average that rises to a peak immediately and decays slowly) times requests in flight | endpoints differ, or one of them may become slow |
//! | [`Constant`] | a fixed value | endpoints have a fixed order of preference |
//!
//! [`Weighted`] adds a weight, which is the capacity of an endpoint relative to the others.
//!
//! # What a failing endpoint receives
//!
//! An endpoint that fails each request immediately always looks idle, and so attracts requests:
//!
//! - With [`PendingRequests`], one such endpoint among ten working ones receives up to twice its share if the balancer
//!   picks the less loaded of two, and nearly all requests if it picks the least loaded of all, while the others are
//!   busy. Eject it: see `tower_health`.
//! - With [`PeakEwma`], which takes failures into account, it receives less than 0.5 % of the requests, as probes for
//!   its recovery. Errors are failures; set a [classification](PeakEwma::classify) to treat responses such as an HTTP
//!   503 as failures too.
//! - With [`Constant`], it receives as many requests as it would without failures.
//!
//! # When a request is complete
//!
//! A request may still be in progress after its response future is ready, for example while the body is streamed. Each
//! request in flight has a handle, and counts until the handle is dropped. A [`TrackCompletion`] decides when that is:
//! [`CompleteOnResponse`] drops the handle when the response future is ready; your own implementation can move it into
//! the response, so that the request counts until the response is dropped.
//!
//! Dropping a response future completes the request immediately. The wrappers reserve nothing: their `poll_ready` is
//! that of the inner service, and they pass on its errors.
//!
//! # Cost
//!
//! No measurement takes a lock or allocates per request. Services share no state, so threads contend for a cache line
//! only if they start or end requests to the same service at the same time. [`PendingRequests`] writes one atomic word
//! twice per request. [`PeakEwma`] writes a few words and reads the clock twice per request: see there. [`Constant`]
//! and [`Weight`] are only read.
//!
//! # Example
//!
//! ```
//! # use std::{future::{Ready, ready}, task::{Context, Poll}};
//! # struct Echo;
//! # impl tower_service::Service<u32> for Echo {
//! #     type Response = u32; type Error = (); type Future = Ready<Result<u32, ()>>;
//! #     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ()>> { Poll::Ready(Ok(())) }
//! #     fn call(&mut self, n: u32) -> Self::Future { ready(Ok(n)) }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use tower_load::{CompleteOnResponse, Load, PendingRequests};
//! use tower_service::Service;
//!
//! let mut idle = PendingRequests::new(Echo, CompleteOnResponse::default());
//! let mut busy = PendingRequests::new(Echo, CompleteOnResponse::default());
//!
//! let in_flight = busy.call(1);
//! assert!(idle.load() < busy.load());
//! in_flight.await.unwrap();
//! assert!(idle.load() == busy.load());
//! # }
//! ```

mod clock;
pub mod completion;
mod constant;
pub mod estimate;
mod ewma;
mod handle;
mod metric;
pub mod peak_ewma;
mod penalty;
pub mod pending_requests;
mod record;
mod sync;
mod weighted;

pub use self::clock::at_recent_time;
pub use self::completion::{CompleteOnResponse, TrackCompletion};
pub use self::constant::Constant;
pub use self::ewma::Ewma;
pub use self::metric::Load;
pub use self::peak_ewma::PeakEwma;
#[cfg(feature = "discover")]
pub use self::peak_ewma::PeakEwmaDiscover;
pub use self::pending_requests::PendingRequests;
#[cfg(feature = "discover")]
pub use self::pending_requests::PendingRequestsDiscover;
pub use self::weighted::{Weight, Weighted};

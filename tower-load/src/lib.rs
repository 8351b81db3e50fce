//! How busy a service is: measurements for load balancers.
//!
//! A [`Load`] is anything that can say how loaded it is, in a [`Metric`](Load::Metric) that can be compared. Balancers
//! prefer the service of lesser load. Wrap each endpoint's service in one of:
//!
//! | measurement | counts | good when |
//! |---|---|---|
//! | [`PendingRequests`] | requests in flight | endpoints are alike, requests are not too different |
//! | [`PeakEwma`] | latency, peaks at once and fades slowly, times requests in flight | endpoints differ, or one of them may get slow |
//! | [`Constant`] | nothing: it is what you say | endpoints have fixed ranks |
//!
//! [`Weighted`] says beside that how strong an endpoint is.
//!
//! # What a failing endpoint draws
//!
//! An endpoint that fails at once is idle, and seems to be the best of all.
//!
//! - [`PendingRequests`] has no defence: beside ten endpoints that work it draws up to twice its share from a choice of two,
//!   and nearly all requests from a choice among all while the others are busy. Have it ejected, see
//!   `tower_health`.
//! - [`PeakEwma`] counts failures: it draws less than 0.5 %, which are trials whether it has recovered. Errors are failures;
//!   a [classification](PeakEwma::classify) says which responses are failures too, such as an HTTP 503.
//! - [`Constant`] does not know: it draws what it draws without failures.
//!
//! # When is a request over?
//!
//! A response future that is ready need not mean that the work is done: a body may still be streaming. What a request
//! holds while it is counted is a handle, and a [`TrackCompletion`] decides where the handle goes.
//! [`CompleteOnResponse`] drops it with the response future's end; an implementation of your own can put it into the
//! response, and the request counts until that is dropped.
//!
//! # Cost
//!
//! A measurement takes no lock and allocates nothing. What a service's requests share is its own: threads wait for a cache
//! line only while they begin or end requests to the same service. [`PendingRequests`] is one word, which a request writes
//! twice; [`PeakEwma`] is some words, and two readings of the clock, see there. [`Constant`] and a [`Weight`] are only read.
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
mod metric;
mod note;
pub mod peak_ewma;
mod penalty;
pub mod pending_requests;
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

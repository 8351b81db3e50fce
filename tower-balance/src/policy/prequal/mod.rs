//! Prequal, the probing load balancer of YouTube, for servers whose load is visible neither in the client's requests in
//! flight nor in past latencies.
//!
//! A client continuously probes a few random servers for their requests in flight and their latency, keeps the results
//! in a small pool, and sends each request to the best server in the pool. A server with more requests in flight than a
//! quantile of the recent results is hot. Among the servers that are not hot, the one with the lowest latency is
//! picked; if all are hot, the one with the fewest requests in flight is picked.
//!
//! [`Prequal`] is the pool: it returns the servers to probe, takes the results, and picks. You send the probes, or use
//! [`PrequalPicker`](crate::picker::PrequalPicker) with its [`Probes`](crate::picker::Probes).
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::time::Duration;
//! use tokio::time::Instant;
//! use tower_balance::policy::prequal::{Prequal, PrequalConfig, Report};
//! use tower_util::rng::SplitMix;
//!
//! let mut rng = SplitMix::with_seed(1);
//! let mut prequal = Prequal::new(PrequalConfig::default(), 20).unwrap();
//!
//! // With each request, three probes are sent.
//! let now = Instant::now();
//! for endpoint in prequal.probes(&mut rng).to_vec() {
//!     let latency = Duration::from_millis(endpoint as u64);
//!     prequal.report(Report { endpoint, rif: 1, latency, failing: 0.0 }, now, &mut rng);
//! }
//! assert!(prequal.pick(now, &mut rng).is_some());
//! # }
//! ```
//!
//! # Implementation notes
//!
//! B. Wydrowski, R. Kleinberg, S. Rumble, A. Archer, *Load is not what you should balance: Introducing Prequal*, NSDI
//! 2024. Unlike there, a new result of a server replaces its old one, and the last two results are not removed.
//!
//! A server that fails fast has few requests in flight and a low latency, so it appears to be the best and would
//! receive all requests. So a [`Report`] includes the share of the server's requests that fail. That share of the
//! penalty is added to the latency, and the requests in flight are increased accordingly (by Little's law).

mod config;
mod pool;
mod seen;

pub use self::config::PrequalConfig;
pub use self::pool::{Prequal, Report};

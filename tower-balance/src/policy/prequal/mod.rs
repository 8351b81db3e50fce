//! The choice by probes, as YouTube has it: for servers whose load neither the client's requests in flight nor the past
//! tell.
//!
//! A client asks a few random servers all the while how many requests they have in flight and how long one takes, keeps
//! the answers in a small pool, and gives a request to the best of them. A server with more requests than most is hot,
//! however fast it was, and gets a request only if all are hot, the least loaded first; of the cold ones the fastest gets
//! it.
//!
//! [`Prequal`] keeps the pool: it says whom to probe, takes the answers, and picks. To send the probes is up to you.
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
//! // With each request three probes go out.
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
//! B. Wydrowski, R. Kleinberg, S. Rumble, A. Archer, *Load is not what you should balance: Introducing Prequal*, NSDI 2024.
//! Other than there, a new answer of a server replaces its old one, and the last two are not removed for being the worst.
//!
//! A server that fails fast has few requests in flight and a short latency: it looks best of all, and draws all traffic.
//! So a [`Report`] says how many of the server's requests fail, and the answer counts as that of a server which takes
//! longer by so much of the penalty, with as many requests in flight as it would have then (by Little's law).

mod config;
mod pool;
mod seen;

pub use self::config::PrequalConfig;
pub use self::pool::{Prequal, Report};

//! Whether one endpoint is dead, by its own failures, and when to try it again.
//!
//! A [`FailureAccrual`] is told when a request begins and how it ends. After too many failures the endpoint is dead for a
//! while, then one request probes it: a success revives it, a failure makes it dead for longer.
//!
//! It is no gate: it says by [`Status`] whom to avoid. If all endpoints are to be avoided, send requests all the same.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::time::Duration;
//! use tokio::time::Instant;
//! use tower_balance::policy::accrual::{AccrualConfig, FailureAccrual, Outcome, Status};
//! use tower_util::rng::SplitMix;
//!
//! let mut rng = SplitMix::with_seed(1);
//! let now = Instant::now();
//! let mut accrual = FailureAccrual::new(AccrualConfig::default()).unwrap();
//! for _ in 0..5 {
//!     let attempt = accrual.begin(now);
//!     accrual.end(attempt, Outcome::Failure, now, &mut rng);
//! }
//! assert!(matches!(accrual.status(now), Status::Dead { .. }));
//!
//! // From five to ten seconds later one request may try.
//! let later = now + Duration::from_secs(10);
//! assert_eq!(accrual.status(later), Status::ProbeOpen);
//! let probe = accrual.begin(later);
//! assert_eq!(accrual.status(later), Status::ProbeClosed);
//! accrual.end(probe, Outcome::Success, later, &mut rng);
//! assert_eq!(accrual.status(later), Status::Alive);
//! # }
//! ```
//!
//! # Implementation notes
//!
//! After Finagle's `FailureAccrualFactory`. Other than there, the outcome of a request that began before the endpoint died
//! or was revived does not count, as in linkerd2-proxy; any failure of the probe keeps it dead; and the longest waits have
//! jitter too.

mod config;
mod state;
mod window;

pub use self::config::AccrualConfig;
pub use self::state::{Attempt, FailureAccrual, Outcome, Status};

//! Failure accrual: marks an endpoint dead by its own failures, and decides when to probe it.
//!
//! A [`FailureAccrual`] records when each request begins, and its result. After too many failures the endpoint is dead
//! for some time. Then one request probes it: a success revives it, a failure extends the time.
//!
//! It does not block requests: the [`Status`] tells the caller which endpoints to avoid. If all of them should be
//! avoided, send requests nevertheless.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::time::Duration;
//! use tokio::time::Instant;
//! use tower_classify::{Class, FailureKind};
//! use tower_health::policy::accrual::{AccrualConfig, FailureAccrual, Status};
//! use tower_util::rng::SplitMix;
//!
//! let mut rng = SplitMix::with_seed(1);
//! let now = Instant::now();
//! let mut accrual = FailureAccrual::new(AccrualConfig::default()).unwrap();
//! for _ in 0..5 {
//!     let attempt = accrual.begin(now);
//!     accrual.end(attempt, Class::failure(FailureKind::Internal), now, &mut rng);
//! }
//! assert!(matches!(accrual.status(now), Status::Dead { .. }));
//!
//! // After five to ten seconds, one request may probe it.
//! let later = now + Duration::from_secs(10);
//! assert_eq!(accrual.status(later), Status::ProbeOpen);
//! let probe = accrual.begin(later);
//! assert_eq!(accrual.status(later), Status::ProbeClosed);
//! accrual.end(probe, Class::Success, later, &mut rng);
//! assert_eq!(accrual.status(later), Status::Alive);
//! # }
//! ```
//!
//! # Implementation notes
//!
//! Follows Finagle's `FailureAccrualFactory`, with these differences: the result of a request that began before the
//! endpoint was marked dead or revived does not count, as in linkerd2-proxy; any failure of a probe keeps it dead; and
//! the longest waits have jitter too.

mod config;
mod state;
mod window;

pub use self::config::AccrualConfig;
pub(crate) use self::state::Step;
pub use self::state::{Attempt, FailureAccrual, Status};

//! The algorithms of this crate as plain values, without clock, tasks or I/O: time and randomness are arguments.
//!
//! | algorithm | type |
//! |---|---|
//! | circuit breaking | [`Circuit`], configured by [`BreakerPolicy`] |
//! | client-side throttling | [`Throttle`] |
//! | admission control by rejections | [`NackAdmission`] |
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_breaker::error::InvalidPolicy> {
//! use std::time::Duration;
//! use tokio::time::Instant;
//! use tower_breaker::policy::{BreakerPolicy, Circuit, Outcome, State};
//! use tower_classify::{Class, FailureKind};
//! use tower_util::rng::SplitMix;
//!
//! let failed = Outcome::new(Class::failure(FailureKind::Internal), Duration::ZERO);
//! let succeeded = Outcome::new(Class::Success, Duration::ZERO);
//! let mut rng = SplitMix::with_seed(1);
//! let now = Instant::now();
//!
//! let mut circuit = Circuit::new(BreakerPolicy::never().consecutive_failures(2))?;
//! for _ in 0..2 {
//!     let ticket = circuit.begin(now).expect("closed");
//!     circuit.end(ticket, failed, now, &mut rng);
//! }
//! let retry_after = circuit.begin(now).unwrap_err().retry_after().expect("open for some time");
//!
//! let later = now + retry_after;
//! let probe = circuit.begin(later).expect("half-open");
//! assert!(circuit.begin(later).is_err(), "one probe at a time");
//! circuit.end(probe, succeeded, later, &mut rng);
//! assert_eq!(circuit.state(later), State::Closed);
//! # Ok(())
//! # }
//! ```

mod admission;
mod circuit;
mod config;
mod window;

pub use self::admission::{AdmissionPolicy, Counts, NackAdmission, Throttle};
pub(crate) use self::circuit::Step;
pub use self::circuit::{Circuit, Outcome, State, Ticket};
pub use self::config::BreakerPolicy;
pub(crate) use self::window::{MIN_WINDOW, Window};

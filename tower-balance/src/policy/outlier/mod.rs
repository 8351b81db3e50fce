//! Which endpoints do so much worse than the others that they are better left out for a while.
//!
//! An [`OutlierDetector`] is told how each request ended, and ejects an endpoint
//!
//! - at once after so many failures in a row,
//! - at a sweep if its rate of successes is far below that of the others ([`Statistic`]),
//! - at a sweep if it fails too large a part of its requests.
//!
//! It comes back at the first sweep after its time, which grows with every ejection and shrinks while it behaves. At most
//! a tenth of the endpoints are out at a time, the worst first; though one may be in any case.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::time::Duration;
//! use tokio::time::Instant;
//! use tower_balance::policy::outlier::{Cause, Change, Outcome, OutlierConfig, OutlierDetector};
//!
//! let now = Instant::now();
//! let mut detector = OutlierDetector::new(OutlierConfig::default(), now).unwrap();
//! for endpoint in ["a", "b", "c"] {
//!     detector.insert(endpoint);
//! }
//! for _ in 0..4 {
//!     assert_eq!(detector.record(&"b", Outcome::Failure, now), None);
//! }
//! let ejected = Change::Ejected("b", Cause::Consecutive);
//! assert_eq!(detector.record(&"b", Outcome::Failure, now), Some(ejected));
//!
//! // The sweep is due every ten seconds.
//! assert_eq!(detector.sweep(now + Duration::from_secs(29)), []);
//! assert_eq!(detector.sweep(now + Duration::from_secs(39)), [Change::Returned("b")]);
//! # }
//! ```
//!
//! # Implementation notes
//!
//! After gRFC A50 and Envoy. Other than there, requests that end while their endpoint is ejected do not count, the worst
//! are ejected first, and the time out stops growing when it is the longest, so that a past without end is forgiven too.

mod config;
mod detector;
mod statistic;

pub use self::config::{Bounds, FailurePercentage, OutlierConfig, SuccessRate};
pub use self::detector::{Cause, Change, Outcome, OutlierDetector};
pub use self::statistic::Statistic;

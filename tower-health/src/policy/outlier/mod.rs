//! Outlier detection: ejects endpoints that fail much more than the others, for some time.
//!
//! An [`OutlierDetector`] records the result of each request, and ejects an endpoint
//!
//! - immediately, after a number of consecutive failures,
//! - at a sweep, if its success rate is far below that of the others ([`Statistic`]),
//! - at a sweep, if its failure percentage is too high.
//!
//! The endpoint returns at the first sweep after its ejection time, which grows with every ejection and shrinks while
//! it is not ejected. By default, at most a tenth of the endpoints are ejected at the same time, the worst first; but
//! one always may be.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::time::Duration;
//! use tokio::time::Instant;
//! use tower_classify::{Class, FailureKind};
//! use tower_health::policy::outlier::{Cause, Change, OutlierConfig, OutlierDetector};
//!
//! let now = Instant::now();
//! let mut detector = OutlierDetector::new(OutlierConfig::default(), now).unwrap();
//! for endpoint in ["a", "b", "c"] {
//!     detector.insert(endpoint);
//! }
//! let failed = Class::failure(FailureKind::Internal);
//! for _ in 0..4 {
//!     assert_eq!(detector.record(&"b", failed, now), None);
//! }
//! let ejected = Change::Ejected("b", Cause::Consecutive);
//! assert_eq!(detector.record(&"b", failed, now), Some(ejected));
//!
//! // A sweep is due every ten seconds.
//! assert_eq!(detector.sweep(now + Duration::from_secs(29)), []);
//! assert_eq!(detector.sweep(now + Duration::from_secs(39)), [Change::Returned("b")]);
//! # }
//! ```
//!
//! # Implementation notes
//!
//! Follows gRFC A50 and Envoy, with these differences: requests that end while their endpoint is ejected do not count;
//! the worst endpoints are ejected first; and the multiplier stops growing at the maximum ejection time, so that it
//! also shrinks again.

mod config;
mod detector;
mod statistic;

pub use self::config::{Bounds, FailurePercentage, OutlierConfig, SuccessRate};
pub use self::detector::{Cause, Change, OutlierDetector};
pub use self::statistic::Statistic;

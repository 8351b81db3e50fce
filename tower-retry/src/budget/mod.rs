//! How many retries there may be, as a share of the requests.
//!
//! When a service fails for everybody, retries multiply the load that it fails under. A [`Budget`] bounds them over all
//! requests together: each request that succeeds deposits, each retry withdraws.
//!
//! | budget | allows | use it |
//! |---|---|---|
//! | [`TpsBudget`] | a share of the requests of the last seconds, and so many per second in any case | unless you know better |
//! | [`Throttle`] | all retries, until more requests fail than succeed | where gRPC's `retryThrottling` is configured |
//!
//! Share one budget among all that retry the same service, by an `Arc`; retries and hedges can share one too. One budget
//! over several services would let the failing one use up the retries of the others.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::time::Duration;
//! use tower_retry::budget::{Budget, TpsBudget};
//!
//! // 20 % of the requests of the last ten seconds, and one per second in any case.
//! let budget = TpsBudget::new(Duration::from_secs(10), 1, 0.2);
//! for _ in 0..100 {
//!     budget.deposit();
//! }
//! let retries = std::iter::repeat_with(|| budget.withdraw()).take_while(|allowed| *allowed);
//! assert_eq!(retries.count(), 20 + 10);
//! # }
//! ```

mod throttle;
mod tokens;
pub mod tps_budget;

pub use self::throttle::{InvalidThrottle, Throttle};
pub use self::tps_budget::TpsBudget;

/// Bounds the number of retries.
pub trait Budget {
    /// A request has succeeded.
    fn deposit(&self);

    /// Asks for a retry of a request that has failed. `false` if there is nothing left.
    fn withdraw(&self) -> bool;
}

/// A [`Budget`] that also goes by the failures for which no retry is asked; see
/// [`Builder::throttle`](crate::Builder::throttle).
pub trait FailureBudget: Budget {
    /// A request has failed for which no retry is asked.
    fn fail(&self);
}

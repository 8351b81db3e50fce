//! Budgets, which limit retries to a fraction of the requests.
//!
//! If all requests to a service fail, retries multiply the load under which it fails. A [`Budget`] limits the retries of all
//! requests together: each request that succeeds makes a deposit, and each retry a withdrawal.
//!
//! | budget | allows | use it |
//! |---|---|---|
//! | [`TpsBudget`] | a fraction of the requests of the last seconds, plus a fixed number per second | by default |
//! | [`Throttle`] | all retries while enough requests succeed | where gRPC's `retryThrottling` is configured |
//!
//! Share one budget, in an `Arc`, among all policies that retry requests to the same service; retries and hedges can share one
//! too. Do not share a budget between services: a failing one would use up the retries of the others.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::time::Duration;
//! use tower_retry::budget::{Budget, TpsBudget};
//!
//! // 20 % of the requests of the last ten seconds, plus one retry per second.
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

/// Limits the number of retries.
pub trait Budget {
    /// Records that a request has succeeded.
    fn deposit(&self);

    /// Withdraws one retry of a failed request. Returns `false` if the budget is used up: the request is not retried then.
    fn withdraw(&self) -> bool;
}

/// A [`Budget`] that also counts failures that are not retried; see [`Builder::throttle`](crate::Builder::throttle).
pub trait FailureBudget: Budget {
    /// Records that a request has failed and [`withdraw`](Budget::withdraw) is not called for it.
    fn fail(&self);
}

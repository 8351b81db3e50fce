//! How many retries there may be, as a share of the requests.
//!
//! When a service fails for everybody, retries multiply the load that it fails under. A [`Budget`] bounds them over all
//! requests together: each request that succeeds deposits, each retry withdraws.
//!
//! Share one budget among all that retry the same service, by an `Arc`. One budget over several services would let the
//! failing one use up the retries of the others.
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

mod tokens;
pub mod tps_budget;

pub use self::tps_budget::TpsBudget;

/// Bounds the number of retries.
pub trait Budget {
    /// A request has succeeded.
    fn deposit(&self);

    /// Asks for a retry. `false` if there is nothing left.
    fn withdraw(&self) -> bool;
}

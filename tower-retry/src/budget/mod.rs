//! How many retries there may be, as a share of the requests.
//!
//! When a service fails for everybody, retries multiply the load that it fails under. A [`Budget`] bounds them over all
//! requests together: each request that succeeds deposits, each retry withdraws.

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

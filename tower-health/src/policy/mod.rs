//! The algorithms of this crate as plain values, without clock, tasks or I/O: time and randomness are arguments.
//!
//! | algorithm | type or module |
//! |---|---|
//! | outlier detection: ejecting endpoints that fail more than the others | [`outlier`] |
//! | failure accrual: ejecting an endpoint by its own failures, then probing it | [`accrual`] |
//! | slow start of new endpoints | [`SlowStart`] |

pub mod accrual;
pub mod outlier;
mod slow_start;

pub use self::slow_start::SlowStart;
#[doc(inline)]
pub use tower_util::InvalidPolicy;

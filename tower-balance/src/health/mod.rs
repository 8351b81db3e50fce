//! Endpoints that are not well get no requests.
//!
//! Each of these wraps a [`Discover`](tower_discover::Discover), and is one itself, so that they go between the source of
//! the endpoints and the balancer, one or several:
//!
//! | wrapper | who gets no requests |
//! |---|---|
//! | [`EjectOutliers`] | who fails more than the others |
//! | [`CheckHealth`](check::CheckHealth) | whose checks fail |
//! | [`AccrueFailures`] | who fails too often, until a trial request succeeds |
//!
//! And [`SlowStartDiscover`] gives less to who is new, or well again, and [`Observe`] keeps a list of all of them for
//! metrics and for people to look at.
//!
//! Who is out is not ready. So each picker passes it over, and the requests that it has go on. When it returns, it wakes
//! the balancer. Wrappers that share a [`Health`] know how many endpoints are well at all; when too few are, they are all
//! used.
//!
//! An endpoint that never answers has no failures of its own, as a timeout above the balancer cancels its requests. So a
//! request that is cancelled after it waited for some time counts as a failure of its endpoint: see
//! [`OutlierConfig::cancelled_after`](crate::policy::outlier::OutlierConfig::cancelled_after) and
//! [`AccrualConfig::cancelled_after`](crate::policy::accrual::AccrualConfig::cancelled_after). A server that knows that its
//! client went away says so with [`withdrawn`]: then it is no fault of the endpoint.
//!
//! The balancer drives the wrappers whenever it is polled: put it behind a buffer for that to happen also while no request
//! comes. They need a tokio runtime with its timers, and no tasks.

mod accrual;
mod answers;
pub mod check;
mod classify;
mod driver;
mod gate;
mod outlier;
mod rule;
mod service;
mod shared;
mod slow_start;
mod states;
mod withdrawn;

pub use self::accrual::{Accrual, AccrueFailures};
pub use self::classify::{Classify, ErrorIsFailure, Outcome};
pub use self::outlier::{EjectOutliers, Outliers, Uneject};
pub use self::service::{Guarded, GuardedFuture};
pub use self::shared::{Health, Reason, Standing};
pub use self::slow_start::{SlowStartDiscover, Warming, Weights};
pub use self::states::{EndpointState, EndpointStates, Observations, Observe, Observed};
pub use self::withdrawn::withdrawn;

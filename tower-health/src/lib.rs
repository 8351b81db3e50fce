//! Health of endpoints: endpoints that fail get no requests.
//!
//! Each of these wraps a [`Discover`](tower_discover::Discover), and is one itself, so that they go between the source of
//! the endpoints and the balancer, one or several:
//!
//! | method of [`HealthExt`] | wrapper | effect |
//! |---|---|---|
//! | [`eject_outliers`](HealthExt::eject_outliers) | [`EjectOutliers`] | ejects endpoints that fail more than the others |
//! | [`check_health`](HealthExt::check_health) | [`CheckHealth`](check::CheckHealth) | ejects endpoints whose health checks fail |
//! | [`accrue_failures`](HealthExt::accrue_failures) | [`AccrueFailures`] | ejects endpoints that fail too often, until a probe succeeds |
//! | [`slow_start`](HealthExt::slow_start) | [`SlowStartDiscover`] | gives new and recovered endpoints less weight at first |
//! | [`observe`](HealthExt::observe) | [`Observe`] | lists all endpoints with their state, for metrics and admin pages |
//!
//! An ejected endpoint is not ready, so every picker skips it, and its requests in flight continue. When it returns, it
//! wakes the balancer. Wrappers that share a [`Health`] know how many endpoints are healthy at all; if too few are, all
//! are used.
//!
//! An endpoint that never answers has no failures of its own, as a timeout above the balancer cancels its requests. So a
//! request that is cancelled after it waited for some time counts as a failure of its endpoint: see
//! [`OutlierConfig::cancelled_after`](crate::policy::outlier::OutlierConfig::cancelled_after) and
//! [`AccrualConfig::cancelled_after`](crate::policy::accrual::AccrualConfig::cancelled_after). A server that knows that its
//! client went away says so with [`withdrawn`]: then it is no fault of the endpoint.
//!
//! What counts as a failure is the classification's decision: a [`Classify`](tower_classify::Classify), for example
//! `tower_classify::http::HttpClassify`, or [`ErrorIsFailure`].
//!
//! | [`Class`](tower_classify::Class) | counts as |
//! |---|---|
//! | `Success` | a success |
//! | `Failure`, `Unsent` | a failure of the endpoint |
//! | `Failure` of the kind [`Overloaded`](tower_classify::FailureKind::Overloaded) | nothing: an endpoint that rejects excess load works, and to eject it would move its load to the others |
//! | `Ignored` | nothing |
//!
//! The balancer drives the wrappers whenever it is polled: put it behind a buffer for that to happen also while no request
//! comes. They need a tokio runtime with its timers, and no tasks.

mod accrual;
mod answers;
mod attempts;
pub mod check;
mod driver;
mod ext;
mod gate;
mod health;
mod lock;
mod outlier;
pub mod policy;
mod rule;
mod service;
mod slow_start;
mod standing;
mod states;
mod sync;
mod task;
mod with_health;
mod withdrawn;

pub use self::accrual::AccrueFailures;
pub use self::ext::HealthExt;
pub use self::health::Health;
pub use self::outlier::{EjectOutliers, Uneject};
pub use self::service::{Guarded, GuardedFuture};
pub use self::slow_start::{SlowStartDiscover, Warming};
pub use self::standing::{Reason, Standing};
pub use self::states::{EndpointState, EndpointStates, Observe, Observed};
pub use self::with_health::WithHealth;
pub use self::withdrawn::withdrawn;

#[doc(no_inline)]
pub use tower_classify::ErrorIsFailure;

// They tell the services of one wrapper from those of another, and have nothing for users.
#[doc(hidden)]
pub use self::{
    accrual::Accrual, check::Checks, outlier::Outliers, slow_start::Weights, states::Observations,
};

/// Error types.
pub mod error {
    use std::error::Error;
    use std::fmt;

    pub use crate::policy::InvalidPolicy;

    /// All endpoints are ejected, and [`Health::set_fail_closed`](crate::Health::set_fail_closed) makes requests fail in
    /// that case.
    #[derive(Clone, Copy, Debug)]
    pub struct NoHealthyEndpoints(pub(crate) ());

    impl fmt::Display for NoHealthyEndpoints {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("no healthy endpoints")
        }
    }

    impl Error for NoHealthyEndpoints {}
}

/// A boxed error of any type.
#[doc(inline)]
pub use tower_util::BoxError;

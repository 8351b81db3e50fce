//! Health of endpoints: ejects endpoints that fail, so that a balancer sends them no requests.
//!
//! Each wrapper takes a [`Discover`](tower_discover::Discover) and is a `Discover` itself. Put one or several of them
//! between the source of the endpoints and the balancer:
//!
//! | method of [`HealthExt`] | wrapper | effect |
//! |---|---|---|
//! | [`timeout_endpoints`](HealthExt::timeout_endpoints) | [`TimeoutEndpoints`] | fails requests that take too long, so that endpoints that hang are ejected |
//! | [`eject_outliers`](HealthExt::eject_outliers) | [`EjectOutliers`] | ejects endpoints after consecutive failures, or whose success rate is an outlier |
//! | [`check_health`](HealthExt::check_health) | [`CheckHealth`](check::CheckHealth) | ejects endpoints whose health checks fail |
//! | [`accrue_failures`](HealthExt::accrue_failures) | [`AccrueFailures`] | ejects endpoints that fail too often, until a probe succeeds |
//! | [`slow_start`](HealthExt::slow_start) | [`SlowStartDiscover`] | gives new and recovered endpoints less weight at first |
//! | [`observe`](HealthExt::observe) | [`Observe`] | lists all endpoints with their state, for metrics and admin pages |
//!
//! Outlier detection compares the success rates of all endpoints, which takes several endpoints with enough requests.
//! Failure accrual judges each endpoint by itself, and also works with few endpoints. Health checks detect failures
//! without requests, and keep a new endpoint unused until it is healthy. The wrappers can be combined; add the timeout
//! first and the observation last.
//!
//! # Example
//!
//! The third endpoint fails. After three consecutive failures it is ejected:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_health::BoxError> {
//! use tower_balance::p2c::Balance;
//! use tower_discover::ServiceList;
//! use tower_health::policy::outlier::OutlierConfig;
//! use tower_health::{BoxError, ErrorIsFailure, HealthExt};
//! use tower_load::{CompleteOnResponse, PendingRequests};
//! use tower_service::Service;
//! use tower_util::{ServiceExt, service_fn};
//!
//! let endpoints = [true, true, false].map(|works| {
//!     let endpoint = service_fn(move |()| async move { if works { Ok(()) } else { Err(BoxError::from("broken")) } });
//!     PendingRequests::new(endpoint, CompleteOnResponse::default())
//! });
//! let discover = ServiceList::new::<()>(endpoints)
//!     .eject_outliers(OutlierConfig::default().consecutive(Some(3)), ErrorIsFailure)?;
//! let health = discover.health().clone();
//! let mut balance = Balance::new(discover);
//!
//! let mut failed = 0;
//! for _ in 0..100 {
//!     failed += u32::from(balance.ready().await?.call(()).await.is_err());
//! }
//! assert_eq!((failed, health.healthy(), health.len()), (3, 2, 3));
//! # Ok(())
//! # }
//! ```
//!
//! # Which results are failures
//!
//! A [`Classify`](tower_classify::Classify) decides, for example `tower_classify::http::HttpClassify` or
//! [`ErrorIsFailure`]:
//!
//! | [`Class`](tower_classify::Class) | counts as |
//! |---|---|
//! | `Success` | a success |
//! | `Failure`, `Unsent` | a failure of the endpoint |
//! | `Failure` of the kind [`Overloaded`](tower_classify::FailureKind::Overloaded) | nothing: an endpoint that rejects excess load works, and ejecting it would move its load to the others |
//! | `Ignored` | nothing |
//!
//! # Readiness
//!
//! An ejected endpoint reports not ready, so every picker skips it. When it returns, it wakes the balancer. Wrappers
//! that share a [`Health`] count the healthy endpoints. Below the [panic threshold](Health::set_panic_threshold), by
//! default 50 % of the endpoints, ejections are ignored and all endpoints are used.
//!
//! The wrappers are driven whenever the balancer is polled. Put the balancer behind a buffer to drive them while there
//! are no requests as well. They need a tokio runtime with timers, and spawn no tasks.
//!
//! # Cancellation
//!
//! An endpoint that never responds returns no result that could count, because a timeout above the balancer cancels its
//! requests. With [`timeout_endpoints`](HealthExt::timeout_endpoints), which is below the balancer, its requests fail
//! instead. Besides, a request that is cancelled after it has waited for some time counts as a failure of its endpoint:
//! see [`OutlierConfig::cancelled_after`](crate::policy::outlier::OutlierConfig::cancelled_after) and
//! [`AccrualConfig::cancelled_after`](crate::policy::accrual::AccrualConfig::cancelled_after). To keep a client's
//! disconnect from counting, drop the request inside [`withdrawn`].
//!
//! Requests in flight to an endpoint that is ejected continue.
//!
//! # Errors
//!
//! The wrappers pass the errors of the endpoints and of the inner `Discover` through; [`TimeoutEndpoints`] boxes those
//! of the endpoints, and adds [`Elapsed`](error::Elapsed). With [`Health::set_fail_closed`], requests fail with
//! [`NoHealthyEndpoints`](error::NoHealthyEndpoints) while all endpoints are ejected. Constructors return
//! [`InvalidPolicy`](error::InvalidPolicy) if a setting is out of range.
//!
//! # Cost
//!
//! See [`Guarded`] for what each request costs, [`Observe`] for observation, [`SlowStartDiscover`] for weights and
//! [`TimeoutEndpoint`] for the timeout.

mod accrual;
mod attempts;
pub mod check;
mod driver;
mod endpoint_status;
mod ext;
mod health;
mod outlier;
mod outlier_counters;
pub mod policy;
mod rule;
mod service;
mod slow_start;
mod standing;
mod states;
mod sync;
mod task;
mod timeout;
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
pub use self::timeout::{TimeoutEndpoint, TimeoutEndpoints};
pub use self::with_health::WithHealth;
pub use self::withdrawn::withdrawn;

#[doc(no_inline)]
pub use tower_classify::ErrorIsFailure;

// Type parameters of the service types, one for each wrapper. Not part of the API.
#[doc(hidden)]
pub use self::{
    accrual::Accrual, check::Checks, outlier::Outliers, slow_start::Weights, states::Observations,
};

/// The errors of the wrappers, and of invalid configurations.
pub mod error {
    use std::error::Error;
    use std::fmt;

    pub use crate::policy::InvalidPolicy;
    #[doc(no_inline)]
    pub use tower_timeout::error::Elapsed;

    /// All endpoints are ejected, and [`Health::set_fail_closed`](crate::Health::set_fail_closed) is set.
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

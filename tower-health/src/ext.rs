use std::fmt;
use std::hash::Hash;
use std::time::Duration;

use tower_discover::Discover;
use tower_service::Service;

use crate::check::{CheckConfig, CheckHealth, Verdict};
use crate::policy::accrual::AccrualConfig;
use crate::policy::outlier::OutlierConfig;
use crate::policy::{InvalidPolicy, SlowStart};
use crate::{
    AccrueFailures, BoxError, EjectOutliers, EndpointStates, Health, Observe, SlowStartDiscover,
    TimeoutEndpoints, WithHealth,
};

/// Adds the wrappers of this crate to any [`Discover`].
///
/// The wrappers of a chain share one [`Health`]: a new one, or the one given to [`share_health`](Self::share_health).
/// Its panic threshold is 50 % by default.
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), tower_util::BoxError> {
/// use std::time::Duration;
/// use tower_balance::p2c::Balance;
/// use tower_balance::picker::LeastLoaded;
/// use tower_discover::ServiceList;
/// use tower_health::policy::SlowStart;
/// use tower_health::policy::outlier::OutlierConfig;
/// use tower_health::{EndpointStates, ErrorIsFailure, Health, HealthExt};
/// use tower_load::{CompleteOnResponse, PendingRequests};
/// use tower_service::Service;
/// use tower_util::{BoxError, ServiceExt, service_fn};
///
/// let endpoints = [true, true, false].map(|works| {
///     let endpoint = service_fn(move |()| async move { if works { Ok(()) } else { Err(BoxError::from("broken")) } });
///     PendingRequests::new(endpoint, CompleteOnResponse::default())
/// });
/// let states = EndpointStates::new(Health::new());
/// let discover = ServiceList::new::<()>(endpoints)
///     .share_health(states.health().clone())
///     .eject_outliers(OutlierConfig::default().consecutive(Some(3)), ErrorIsFailure)?
///     .slow_start(SlowStart::new(Duration::from_secs(60)))
///     .observe(states.clone());
/// let mut balance = Balance::with_picker(discover, LeastLoaded::new());
/// for _ in 0..100 {
///     let _ = balance.ready().await?.call(()).await;
/// }
/// let list = states.list();
/// assert_eq!(list.iter().filter(|endpoint| endpoint.ready).count(), 2);
/// assert_eq!(list[2].picked, 3);
/// # Ok(())
/// # }
/// ```
pub trait HealthExt: Discover<Key: Hash + Clone + fmt::Debug> + Unpin + Sized {
    /// Lets the wrappers that are added after this call share `health`, for example to inspect it or to set its panic
    /// threshold.
    fn share_health(self, health: Health<Self::Key>) -> WithHealth<Self> {
        WithHealth::new(self, health)
    }

    /// Fails each request to an endpoint that takes longer than `timeout`, so that the wrappers that are added after this
    /// call eject endpoints that hang: see [`TimeoutEndpoints`].
    fn timeout_endpoints(self, timeout: Duration) -> WithHealth<TimeoutEndpoints<Self>> {
        self.share_health(Health::new()).timeout_endpoints(timeout)
    }

    /// Ejects endpoints that fail more than the others: see [`EjectOutliers`].
    ///
    /// # Errors
    ///
    /// If a setting of `config` is out of range.
    fn eject_outliers<C: Clone>(
        self,
        config: OutlierConfig,
        classify: C,
    ) -> Result<WithHealth<EjectOutliers<Self, C>>, InvalidPolicy> {
        self.share_health(Health::new())
            .eject_outliers(config, classify)
    }

    /// Ejects endpoints that fail too often, until a probe succeeds: see [`AccrueFailures`].
    ///
    /// # Errors
    ///
    /// If a setting of `config` is out of range.
    fn accrue_failures<C: Clone>(
        self,
        config: AccrualConfig,
        classify: C,
    ) -> Result<WithHealth<AccrueFailures<Self, C>>, InvalidPolicy> {
        self.share_health(Health::new())
            .accrue_failures(config, classify)
    }

    /// Ejects endpoints whose health checks fail: see [`check`](crate::check).
    ///
    /// # Errors
    ///
    /// If a setting of `config` is out of range.
    fn check_health<M>(
        self,
        config: CheckConfig,
        check: M,
    ) -> Result<WithHealth<CheckHealth<Self, M>>, InvalidPolicy>
    where
        M: Service<Self::Key, Response = Verdict, Error: Into<BoxError>> + Clone,
    {
        self.share_health(Health::new()).check_health(config, check)
    }

    /// Gives new and recovered endpoints less weight at first: see [`SlowStartDiscover`]. For pickers that use weights.
    fn slow_start(self, slow_start: SlowStart) -> WithHealth<SlowStartDiscover<Self>> {
        self.share_health(Health::new()).slow_start(slow_start)
    }

    /// Records the endpoints in `states`, which should be created from the health that the other wrappers
    /// [share](Self::share_health).
    fn observe(self, states: EndpointStates<Self::Key>) -> WithHealth<Observe<Self>> {
        let health = states.health().clone();
        self.share_health(health).observe(states)
    }
}

impl<D> HealthExt for D where D: Discover<Key: Hash + Clone + fmt::Debug> + Unpin {}

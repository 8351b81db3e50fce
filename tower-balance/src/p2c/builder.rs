use std::convert::Infallible;
use std::fmt;
use std::hash::Hash;

use tower_discover::Discover;
use tower_service::Service;
use tower_util::rng::SplitMix;

use super::Balance;
use super::service::{Observer, Random};
use crate::health::check::{CheckConfig, CheckHealth, Verdict};
use crate::health::{
    AccrueFailures, EjectOutliers, EndpointStates, Health, Observe, SlowStartDiscover,
};
use crate::picker::{P2c, Picker};
use crate::policy::accrual::AccrualConfig;
use crate::policy::outlier::OutlierConfig;
use crate::policy::{InvalidPolicy, SlowStart};
use crate::ready_cache::ReadyCache;
use crate::{BoxError, Event};

/// A builder for [`Balance`], from the endpoints to the picker: each method wraps the endpoints configured so far.
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), tower_util::BoxError> {
/// use std::time::Duration;
/// use tower_balance::health::{EndpointStates, ErrorIsFailure, Health};
/// use tower_balance::p2c::Balance;
/// use tower_balance::picker::LeastLoaded;
/// use tower_balance::policy::SlowStart;
/// use tower_balance::policy::outlier::OutlierConfig;
/// use tower_discover::ServiceList;
/// use tower_load::{CompleteOnResponse, PendingRequests};
/// use tower_service::Service;
/// use tower_util::{BoxError, ServiceExt, service_fn};
///
/// let endpoints = [true, true, false].map(|works| {
///     let endpoint = service_fn(move |()| async move { if works { Ok(()) } else { Err(BoxError::from("broken")) } });
///     PendingRequests::new(endpoint, CompleteOnResponse::default())
/// });
/// let states = EndpointStates::new(Health::new());
/// let mut balance = Balance::builder(ServiceList::new::<()>(endpoints))
///     .health(states.health().clone())
///     .eject_outliers(OutlierConfig::default().consecutive(Some(3)), ErrorIsFailure)?
///     .slow_start(SlowStart::new(Duration::from_secs(60)))
///     .observe(states.clone())
///     .pick(LeastLoaded::new())
///     .build();
/// for _ in 0..100 {
///     let _ = balance.ready().await?.call(()).await;
/// }
/// let list = states.list();
/// assert_eq!(list.iter().filter(|endpoint| endpoint.ready).count(), 2);
/// assert_eq!(list[2].picked, 3);
/// # Ok(())
/// # }
/// ```
///
/// With consistent hashing on a key of the request:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::convert::Infallible;
/// use tower_balance::p2c::Balance;
/// use tower_balance::picker::RingHash;
/// use tower_balance::policy::hash::xxh64;
/// use tower_discover::ServiceList;
/// use tower_load::{CompleteOnResponse, PendingRequests};
/// use tower_service::Service;
/// use tower_util::{ServiceExt, service_fn};
///
/// let endpoints = ["a", "b", "c"].map(|name| {
///     let endpoint = service_fn(move |_: &'static str| std::future::ready(Ok::<_, Infallible>(name)));
///     PendingRequests::new(endpoint, CompleteOnResponse::default())
/// });
/// let mut balance = Balance::builder(ServiceList::new::<&'static str>(endpoints))
///     .pick(RingHash::by(|user: &&'static str| Some(xxh64(user.as_bytes(), 0))))
///     .build();
/// let home = balance.ready().await.unwrap().call("ferris").await.unwrap();
/// for _ in 0..10 {
///     assert_eq!(balance.ready().await.unwrap().call("ferris").await.unwrap(), home);
/// }
/// # }
/// ```
#[must_use = "a builder does nothing until it is built"]
pub struct Builder<D, P = P2c>
where
    D: Discover,
{
    discover: D,
    picker: P,
    seed: Option<u64>,
    /// Shared by all wrappers.
    health: Health<D::Key>,
    observer: Option<Observer<D::Key>>,
}

impl<D: Discover> Builder<D> {
    pub(super) fn new(discover: D) -> Self {
        Self {
            discover,
            picker: P2c::new(),
            seed: None,
            health: Health::new(),
            observer: None,
        }
    }
}

impl<D: Discover, P> Builder<D, P> {
    /// Sets the [`picker`](crate::picker). By default [`P2c`].
    pub fn pick<P2>(self, picker: P2) -> Builder<D, P2> {
        Builder {
            discover: self.discover,
            picker,
            seed: self.seed,
            health: self.health,
            observer: self.observer,
        }
    }

    /// Calls `observer` when discovery or an endpoint fails: see [`Balance::on_event`].
    pub fn on_event(
        mut self,
        observer: impl Fn(&Event<'_, D::Key>) + Send + Sync + 'static,
    ) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Sets the health that wrappers added after this call share, for example to inspect it or to set its panic
    /// threshold. By default a new one, with a threshold of 50 %.
    pub fn health(mut self, health: Health<D::Key>) -> Self {
        self.health = health;
        self
    }

    fn wrap<D2>(self, wrap: impl FnOnce(D, Health<D::Key>) -> D2) -> Builder<D2, P>
    where
        D2: Discover<Key = D::Key>,
    {
        let Ok(wrapped) =
            self.try_wrap(|discover, health| Ok::<_, Infallible>(wrap(discover, health)));
        wrapped
    }

    fn try_wrap<D2, E>(
        self,
        wrap: impl FnOnce(D, Health<D::Key>) -> Result<D2, E>,
    ) -> Result<Builder<D2, P>, E>
    where
        D2: Discover<Key = D::Key>,
    {
        Ok(Builder {
            discover: wrap(self.discover, self.health.clone())?,
            picker: self.picker,
            seed: self.seed,
            health: self.health,
            observer: self.observer,
        })
    }

    /// Seeds the random choices, to make them reproducible. By default each balancer has a random seed.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Builds the balancer.
    pub fn build<Req>(self) -> Balance<D, Req, P>
    where
        D::Key: Hash + Clone,
        D::Service: Service<Req>,
        <D::Service as Service<Req>>::Error: Into<BoxError>,
        P: Picker<ReadyCache<D::Key, D::Service, Req>, Req>,
    {
        let rng = self.seed.map_or_else(SplitMix::new, SplitMix::with_seed);
        let mut balance = Balance::with_tracking(self.discover, self.picker, Random::Own(rng));
        balance.observer = self.observer;
        balance.with_health(self.health)
    }
}

impl<D, P> Builder<D, P>
where
    D: Discover<Key: Hash + Clone + fmt::Debug> + Unpin,
{
    /// Ejects endpoints that fail more than the others: see [`EjectOutliers`].
    ///
    /// # Errors
    ///
    /// If a setting of `config` is out of range.
    pub fn eject_outliers<C: Clone>(
        self,
        config: OutlierConfig,
        classify: C,
    ) -> Result<Builder<EjectOutliers<D, C>, P>, InvalidPolicy> {
        self.try_wrap(|discover, health| {
            Ok(EjectOutliers::new(discover, config, classify)?.with_health(health))
        })
    }

    /// Ejects endpoints that fail too often, until a probe succeeds: see [`AccrueFailures`].
    ///
    /// # Errors
    ///
    /// If a setting of `config` is out of range.
    pub fn accrue_failures<C: Clone>(
        self,
        config: AccrualConfig,
        classify: C,
    ) -> Result<Builder<AccrueFailures<D, C>, P>, InvalidPolicy> {
        self.try_wrap(|discover, health| {
            Ok(AccrueFailures::new(discover, config, classify)?.with_health(health))
        })
    }

    /// Ejects endpoints whose health checks fail: see [`CheckHealth`].
    ///
    /// # Errors
    ///
    /// If a setting of `config` is out of range.
    pub fn check_health<M>(
        self,
        config: CheckConfig,
        check: M,
    ) -> Result<Builder<CheckHealth<D, M>, P>, InvalidPolicy>
    where
        M: Service<D::Key, Response = Verdict, Error: Into<BoxError>> + Clone,
        CheckHealth<D, M>: Discover<Key = D::Key>,
    {
        self.try_wrap(|discover, health| {
            Ok(CheckHealth::new(discover, config, check)?.with_health(health))
        })
    }

    /// Gives new and recovered endpoints less weight at first: see [`SlowStartDiscover`]. For pickers that use weights.
    pub fn slow_start(self, slow_start: SlowStart) -> Builder<SlowStartDiscover<D>, P> {
        self.wrap(|discover, health| {
            SlowStartDiscover::new(discover, slow_start).with_health(health)
        })
    }

    /// Records the endpoints in `states`, which should be created from the same [`health`](Self::health).
    pub fn observe(self, states: EndpointStates<D::Key>) -> Builder<Observe<D>, P> {
        self.wrap(|discover, _| Observe::new(discover, states))
    }
}

impl<D, P> fmt::Debug for Builder<D, P>
where
    D: Discover + fmt::Debug,
    P: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("discover", &self.discover)
            .field("picker", &self.picker)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

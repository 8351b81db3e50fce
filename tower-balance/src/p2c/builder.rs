use std::fmt;
use std::hash::Hash;

use tower_discover::Discover;
use tower_service::Service;
use tower_util::rng::SplitMix;

use super::Balance;
use super::service::{Observer, Random, Reject};
use crate::picker::{P2c, Picker};
use crate::ready_cache::ReadyCache;
use crate::{BoxError, Event};

/// A builder for [`Balance`].
///
/// # Example
///
/// Consistent hashing on a key of the request:
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
    observer: Option<Observer<D::Key>>,
    reject: Option<Reject>,
}

impl<D: Discover> Builder<D> {
    pub(super) fn new(discover: D) -> Self {
        Self {
            discover,
            picker: P2c::new(),
            seed: None,
            observer: None,
            reject: None,
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
            observer: self.observer,
            reject: self.reject,
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

    /// Rejects requests while no endpoint is ready, instead of letting them wait: see [`Balance::reject_if`].
    pub fn reject_if(
        mut self,
        error: impl Fn() -> Option<BoxError> + Send + Sync + 'static,
    ) -> Self {
        self.reject = Some(Box::new(error));
        self
    }

    /// Seeds the random choices, to make them reproducible. By default each balancer has a random seed.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Builds the balancer. It has no endpoints until it is polled.
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
        balance.reject = self.reject;
        balance
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

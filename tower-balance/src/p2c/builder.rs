use std::hash::Hash;

use tower_discover::Discover;
use tower_service::Service;
use tower_util::rng::SplitMix;

use super::Balance;
use super::service::Random;
use crate::BoxError;
use crate::picker::{P2c, Picker};
use crate::ready_cache::ReadyCache;

/// A [`Balance`] to be filled in.
///
/// # Example
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
#[derive(Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct Builder<D, P = P2c> {
    discover: D,
    picker: P,
    seed: Option<u64>,
}

impl<D> Builder<D> {
    pub(super) const fn new(discover: D) -> Self {
        Self {
            discover,
            picker: P2c::new(),
            seed: None,
        }
    }
}

impl<D, P> Builder<D, P> {
    /// Chooses with `picker`: see [`picker`](crate::picker) for those that there are. By default [`P2c`].
    pub fn pick<P2>(self, picker: P2) -> Builder<D, P2> {
        Builder {
            discover: self.discover,
            picker,
            seed: self.seed,
        }
    }

    /// Makes the choices repeatable. By default no two balancers draw alike.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The balancer.
    pub fn build<Req>(self) -> Balance<D, Req, P>
    where
        D: Discover,
        D::Key: Hash + Clone,
        D::Service: Service<Req>,
        <D::Service as Service<Req>>::Error: Into<BoxError>,
        P: Picker<ReadyCache<D::Key, D::Service, Req>, Req>,
    {
        let rng = self.seed.map_or_else(SplitMix::new, SplitMix::with_seed);
        Balance::with_tracking(self.discover, self.picker, Random::Own(rng))
    }
}

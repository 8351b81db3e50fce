use std::fmt;
use std::hash::Hash;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::TryFutureExt;
use futures_util::future::MapErr;
use tower_discover::{Change, Discover};
use tower_load::{Load, at_recent_time};
use tower_service::Service;
use tower_util::rng::{Rng, SplitMix, sample_floyd2};

use crate::BoxError;
use crate::error;
use crate::ready_cache::ReadyCache;
use crate::ready_cache::error::Failed;

/// Gives each request to the less loaded of two ready endpoints; see the [module](super).
pub struct Balance<D, Req>
where
    D: Discover,
    D::Key: Hash,
{
    discover: D,
    /// Discovery has said all it had to say.
    ended: bool,
    endpoints: ReadyCache<D::Key, D::Service, Req>,
    /// The index of the endpoint that gets the request, from `poll_ready` to `call`.
    picked: Option<usize>,
    random: Random,
}

impl<D, Req> Balance<D, Req>
where
    D: Discover,
    D::Key: Hash,
    D::Service: Service<Req>,
    <D::Service as Service<Req>>::Error: Into<BoxError>,
{
    /// Balances over the endpoints that `discover` yields.
    pub fn new(discover: D) -> Self {
        Self::with_random(discover, Random::Own(SplitMix::new()))
    }

    /// [`new`](Self::new) with randomness of your own.
    pub fn from_rng<R: Rng + Send + Sync + 'static>(discover: D, rng: R) -> Self {
        Self::with_random(discover, Random::Given(Box::new(rng)))
    }

    fn with_random(discover: D, random: Random) -> Self {
        Self {
            discover,
            ended: false,
            endpoints: ReadyCache::default(),
            picked: None,
            random,
        }
    }

    /// How many endpoints there are, ready or not.
    pub fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }
}

impl<D, Req> Balance<D, Req>
where
    D: Discover + Unpin,
    D::Key: Hash + Clone,
    D::Error: Into<BoxError>,
    D::Service: Service<Req> + Load,
    <D::Service as Load>::Metric: fmt::Debug,
    <D::Service as Service<Req>>::Error: Into<BoxError>,
{
    fn poll_discover(&mut self, cx: &mut Context<'_>) -> Result<(), error::Discover> {
        if self.ended {
            return Ok(());
        }
        for _ in 0..CHANGES_PER_POLL {
            match Pin::new(&mut self.discover).poll_discover(cx) {
                Poll::Ready(Some(Ok(Change::Insert(key, service)))) => {
                    self.endpoints.push(key, service)
                }
                Poll::Ready(Some(Ok(Change::Remove(key)))) => {
                    self.endpoints.evict(&key);
                }
                Poll::Ready(Some(Err(error))) => return Err(error::Discover(error.into())),
                Poll::Ready(None) => {
                    self.ended = true;
                    return Ok(());
                }
                Poll::Pending => return Ok(()),
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn poll_endpoints(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Err(failed)) = self.endpoints.poll_pending(cx) {
            dropped(failed);
        }
    }

    fn pick(&mut self) -> Option<usize> {
        match self.endpoints.ready_len() {
            0 => None,
            1 => Some(0),
            ready => {
                let pair =
                    sample_floyd2(&mut self.random, ready as u64).map(|index| index as usize);
                let load = |index| self.endpoints.ready_at(index).load();
                let [first, second] = at_recent_time(|| pair.map(load));
                // By an index: nobody can predict a branch here.
                Some(pair[usize::from(first > second)])
            }
        }
    }
}

impl<D, Req> Service<Req> for Balance<D, Req>
where
    D: Discover + Unpin,
    D::Key: Hash + Clone,
    D::Error: Into<BoxError>,
    D::Service: Service<Req> + Load,
    <D::Service as Load>::Metric: fmt::Debug,
    <D::Service as Service<Req>>::Error: Into<BoxError>,
{
    type Response = <D::Service as Service<Req>>::Response;
    type Error = BoxError;
    type Future = MapErr<
        <D::Service as Service<Req>>::Future,
        fn(<D::Service as Service<Req>>::Error) -> BoxError,
    >;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // An index outlives no change of the set.
        self.picked = None;
        self.poll_discover(cx)?;
        self.poll_endpoints(cx);
        while let Some(index) = self.pick() {
            match self.endpoints.check_ready_again(index) {
                Ok(true) => {
                    self.picked = Some(index);
                    return Poll::Ready(Ok(()));
                }
                Ok(false) => {}
                Err(failed) => dropped(failed),
            }
        }
        if self.ended && self.endpoints.is_empty() {
            return Poll::Ready(Err(error::NoEndpoints(()).into()));
        }
        Poll::Pending
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let index = self
            .picked
            .take()
            .expect("service not ready; poll_ready must be called first");
        self.endpoints
            .call_in_place(index, request)
            .map_err(Into::into)
    }
}

impl<D, Req> fmt::Debug for Balance<D, Req>
where
    D: Discover + fmt::Debug,
    D::Key: Hash + fmt::Debug,
    D::Service: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balance")
            .field("discover", &self.discover)
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}

/// Where the draws come from.
enum Random {
    Own(SplitMix),
    Given(Box<dyn Rng + Send + Sync>),
}

impl Rng for Random {
    #[inline]
    fn next_u64(&mut self) -> u64 {
        match self {
            Self::Own(rng) => rng.next_u64(),
            Self::Given(rng) => rng.next_u64(),
        }
    }
}

fn dropped<K>(failed: Failed<K>) {
    let Failed(_, error) = failed;
    tracing::warn!(error, "dropping an endpoint that failed to become ready");
}

/// After so many changes, the requests have their turn.
const CHANGES_PER_POLL: usize = 256;

use std::fmt;
use std::hash::Hash;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::TryFutureExt;
use futures_util::future::MapErr;
use tower_discover::{Change, Discover};
use tower_load::{Load, at_recent_time};
use tower_service::Service;
use tower_util::Tried;
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
    /// Finds the endpoints that a request was sent to before.
    tried: Option<fn(&Req) -> Option<&Tried>>,
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
            tried: None,
        }
    }

    /// Gives a request that was sent before to an endpoint that it was not sent to, if one is ready. `find` finds where it
    /// was sent; the balancer adds to that.
    ///
    /// # Example
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use tower_balance::p2c::Balance;
    /// use tower_discover::ServiceList;
    /// use tower_load::Constant;
    /// use tower_service::Service;
    /// use tower_util::{BoxError, ServiceExt, Tried, service_fn};
    ///
    /// // The best one fails, and so does the second one.
    /// let endpoints = [(1, false), (2, false), (3, true)].map(|(load, works)| {
    ///     Constant::new(service_fn(move |_: Tried| async move { Ok::<_, BoxError>(works) }), load)
    /// });
    /// let list = ServiceList::new::<Tried>(endpoints);
    /// let mut balance = Balance::new(list).avoid_tried(|request: &Tried| Some(request));
    ///
    /// let request = Tried::new();
    /// let mut attempts = 1;
    /// while !balance.ready().await.unwrap().call(request.clone()).await.unwrap() {
    ///     attempts += 1;
    /// }
    /// assert!(attempts <= 3);
    /// # }
    /// ```
    #[must_use]
    pub fn avoid_tried(mut self, find: fn(&Req) -> Option<&Tried>) -> Self {
        self.tried = Some(find);
        self
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

impl<D, Req> Balance<D, Req>
where
    D: Discover,
    D::Key: Hash,
    D::Service: Load,
{
    /// `picked`, or if the request was sent there before, a ready one that it was not sent to. The request notes it.
    #[cold]
    #[inline(never)]
    fn untried(&mut self, find: fn(&Req) -> Option<&Tried>, request: &Req, picked: usize) -> usize {
        let Some(tried) = find(request) else {
            return picked;
        };
        let index = match tried.contains(self.endpoints.id_at(picked)) {
            true => self.other_than(tried).unwrap_or(picked),
            false => picked,
        };
        tried.insert(self.endpoints.id_at(index));
        index
    }

    /// The less loaded of two ready endpoints that are not among these, if there are any.
    fn other_than(&mut self, tried: &Tried) -> Option<usize> {
        let ready = self.endpoints.ready_len();
        let start = self.random.next_range(0..ready as u64) as usize;
        // With so many to look at, at least two were not tried, if there are two.
        let some = (0..ready.min(tried.len() + 2)).map(|step| (start + step) % ready);
        let untried = some.filter(|&index| !tried.contains(self.endpoints.id_at(index)));
        let load = |index| self.endpoints.ready_at(index).load();
        let lesser = |one, other| if load(other) < load(one) { other } else { one };
        untried.take(2).reduce(lesser)
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
        let mut index = self
            .picked
            .take()
            .expect("service not ready; poll_ready must be called first");
        if let Some(find) = self.tried {
            index = self.untried(find, &request, index);
        }
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

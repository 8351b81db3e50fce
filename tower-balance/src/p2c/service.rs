use std::fmt;
use std::hash::Hash;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::TryFutureExt;
use futures_util::future::MapErr;
use tokio::time::Instant;
use tower_discover::{Change, Discover};
use tower_load::{Load, at_recent_time};
use tower_readiness::Purpose;
use tower_service::Service;
use tower_util::Tried;
use tower_util::rng::{Rng, SplitMix};

use super::Builder;
use crate::BoxError;
use crate::error;
use crate::picker::{AvoidTried, Endpoints, Named, P2c, PickContext, Picker};
use crate::ready_cache::ReadyCache;
use crate::ready_cache::cache::IdChange;
use crate::ready_cache::error::Failed;

/// Gives each request to one of the ready endpoints, by default to the less loaded of two: see the [module](super).
///
/// Another [`Picker`] chooses otherwise; [`builder`](Balance::builder) sets it.
pub struct Balance<D, Req, P = P2c>
where
    D: Discover,
    D::Key: Hash,
{
    discover: D,
    /// Discovery has said all it had to say.
    ended: bool,
    endpoints: ReadyCache<D::Key, D::Service, Req>,
    /// The index of the endpoint that gets the request, from `poll_ready` to `call`; any, if it is chosen then.
    picked: Option<usize>,
    /// As of this change of the ready endpoints.
    picked_at: u64,
    picker: P,
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
        Self::with_parts(discover, P2c::new(), Random::Own(SplitMix::new()))
    }

    /// [`new`](Self::new) with randomness of your own.
    pub fn from_rng<R: Rng + Send + Sync + 'static>(discover: D, rng: R) -> Self {
        Self::with_parts(discover, P2c::new(), Random::Given(Box::new(rng)))
    }
}

impl<D> Balance<D, ()>
where
    D: Discover,
    D::Key: Hash,
{
    /// A balancer to be filled in, over the endpoints that `discover` yields.
    pub fn builder(discover: D) -> Builder<D> {
        Builder::new(discover)
    }
}

impl<D, Req, P> Balance<D, Req, P>
where
    D: Discover,
    D::Key: Hash,
{
    /// [`new`](Balance::new) with a picker of your choice.
    pub fn with_picker(discover: D, picker: P) -> Self
    where
        D::Key: Clone,
        D::Service: Service<Req>,
        <D::Service as Service<Req>>::Error: Into<BoxError>,
        P: Picker<ReadyCache<D::Key, D::Service, Req>, Req>,
    {
        Self::with_tracking(discover, picker, Random::Own(SplitMix::new()))
    }

    pub(super) fn with_tracking(discover: D, picker: P, random: Random) -> Self
    where
        D::Key: Clone,
        D::Service: Service<Req>,
        <D::Service as Service<Req>>::Error: Into<BoxError>,
        P: Picker<ReadyCache<D::Key, D::Service, Req>, Req>,
    {
        let mut balance = Self::with_parts(discover, picker, random);
        if P::TRACKS {
            balance.endpoints.track_ids();
        }
        balance
    }

    fn with_parts(discover: D, picker: P, random: Random) -> Self {
        Self {
            discover,
            ended: false,
            endpoints: ReadyCache::default(),
            picked: None,
            picked_at: 0,
            picker,
            random,
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
    pub fn avoid_tried(
        self,
        find: fn(&Req) -> Option<&Tried>,
    ) -> Balance<D, Req, AvoidTried<P, Req>> {
        let mut random = self.random;
        Balance {
            discover: self.discover,
            ended: self.ended,
            endpoints: self.endpoints,
            picked: None,
            picked_at: 0,
            picker: AvoidTried::new(self.picker, find, random.next_u64()),
            random,
        }
    }

    /// The picker.
    pub const fn picker(&self) -> &P {
        &self.picker
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

impl<D, Req, P> Balance<D, Req, P>
where
    D: Discover + Unpin,
    D::Key: Hash + Clone,
    D::Error: Into<BoxError>,
    D::Service: Service<Req> + Load,
    <D::Service as Load>::Metric: fmt::Debug,
    <D::Service as Service<Req>>::Error: Into<BoxError>,
    P: Picker<ReadyCache<D::Key, D::Service, Req>, Req>,
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

    #[inline]
    fn tell_changes(&mut self) {
        if P::TRACKS {
            for change in self.endpoints.take_id_changes() {
                match change {
                    IdChange::Inserted(id) => self.picker.inserted(&self.endpoints, id),
                    IdChange::Removed(id) => self.picker.removed(id),
                }
            }
        }
    }

    #[inline]
    fn pick(&mut self, request: Option<&Req>) -> Option<usize> {
        let Self {
            endpoints,
            picker,
            random,
            ..
        } = self;
        let index = at_recent_time(|| picker.pick(endpoints, request, random));
        index.filter(|&index| index < endpoints.ready_len())
    }

    /// The endpoint of a request that is here. It was ready when it was polled last; if there are others, it is asked again.
    fn pick_for(&mut self, request: &Req) -> Option<usize> {
        while self.endpoints.ready_len() > 1 {
            let index = self.pick(Some(request)).unwrap_or(0);
            match self.endpoints.check_ready_again(index) {
                Ok(true) => return Some(index),
                Ok(false) => {}
                Err(failed) => {
                    dropped(failed);
                    self.tell_changes();
                }
            }
        }
        // The last one: to ask it once more, and hear no, would leave nobody.
        (self.endpoints.ready_len() == 1).then(|| {
            // The picker is to know of it.
            let _the_only_one = self.pick(Some(request));
            0
        })
    }
}

impl<D, Req, P> Service<Req> for Balance<D, Req, P>
where
    D: Discover + Unpin,
    D::Key: Hash + Clone,
    D::Error: Into<BoxError>,
    D::Service: Service<Req> + Load,
    <D::Service as Load>::Metric: fmt::Debug,
    <D::Service as Service<Req>>::Error: Into<BoxError>,
    P: Picker<ReadyCache<D::Key, D::Service, Req>, Req>,
{
    type Response = <D::Service as Service<Req>>::Response;
    type Error = BoxError;
    type Future = MapErr<
        <D::Service as Service<Req>>::Future,
        fn(<D::Service as Service<Req>>::Error) -> BoxError,
    >;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if Purpose::current() == Purpose::Release {
            // Its endpoints stay ready, for whichever request is next.
            return Poll::Pending;
        }
        let picked = self.picked.take();
        let heard = self.poll_discover(cx);
        self.poll_endpoints(cx);
        self.tell_changes();
        heard?;
        if P::BY_REQUEST {
            // Whoever is ready now was asked after its last request, and may get the next one.
            if self.endpoints.ready_len() > 0 {
                self.picked = Some(0);
                return Poll::Ready(Ok(()));
            }
        } else {
            // An index outlives no change of the set.
            let mut kept =
                picked.filter(|_| !P::REPICKS && self.picked_at == self.endpoints.generation());
            while let Some(index) = kept.take().or_else(|| self.pick(None)) {
                match self.endpoints.check_ready_again(index) {
                    Ok(true) => {
                        self.picked = Some(index);
                        if !P::REPICKS {
                            self.picked_at = self.endpoints.generation();
                        }
                        return Poll::Ready(Ok(()));
                    }
                    Ok(false) => {}
                    Err(failed) => {
                        dropped(failed);
                        self.tell_changes();
                    }
                }
            }
        }
        if self.ended && self.endpoints.is_empty() {
            return Poll::Ready(Err(error::NoEndpoints(()).into()));
        }
        Poll::Pending
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let mut picked = self.picked.take();
        if P::BY_REQUEST && picked.is_some() {
            picked = self.pick_for(&request);
            if let Some(index) = picked {
                self.picker.sent(&self.endpoints, index, &request);
            }
        }
        let index = picked.expect("service not ready; poll_ready must be called first");
        self.endpoints
            .call_in_place(index, request)
            .map_err(Into::into)
    }
}

impl<K, S, Req> Endpoints for ReadyCache<K, S, Req>
where
    K: Eq + Hash,
    S: Load,
{
    type Load = S::Metric;

    #[inline]
    fn ready_len(&self) -> usize {
        Self::ready_len(self)
    }

    fn generation(&self) -> u64 {
        Self::generation(self)
    }

    #[inline]
    fn load(&self, index: usize) -> S::Metric {
        self.ready_at(index).load()
    }

    fn weight(&self, index: usize) -> u32 {
        S::relative_weight(self.ready_at(index))
    }

    fn weight_of(&self, id: usize) -> Option<u32> {
        self.get_id(id)
            .map(|(_, service, _)| S::relative_weight(service))
    }

    fn id(&self, index: usize) -> usize {
        self.id_at(index)
    }

    fn index_of(&self, id: usize) -> Option<usize> {
        self.get_id(id)?.2
    }
}

impl<K, S, Req> Named for ReadyCache<K, S, Req>
where
    K: Eq + Hash + fmt::Display,
    S: Load,
{
    fn name(&self, id: usize) -> Option<(String, u32)> {
        let (key, service, _) = self.get_id(id)?;
        Some((key.to_string(), S::relative_weight(service)))
    }
}

impl<D, Req, P> fmt::Debug for Balance<D, Req, P>
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

/// Where the draws come from, and the time.
pub(super) enum Random {
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

impl PickContext for Random {
    fn now(&mut self) -> Instant {
        Instant::now()
    }
}

fn dropped<K>(failed: Failed<K>) {
    let Failed(_, error) = failed;
    tracing::warn!(error, "dropping an endpoint that failed to become ready");
}

/// After so many changes, the requests have their turn.
const CHANGES_PER_POLL: usize = 256;

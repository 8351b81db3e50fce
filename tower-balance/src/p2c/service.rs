use std::fmt;
use std::hash::Hash;
use std::task::{Context, Poll};

use tokio::time::Instant;
use tower_discover::{Change, Discover};
use tower_load::{Load, at_recent_time};
use tower_readiness::Purpose;
use tower_service::Service;
use tower_util::Tried;
use tower_util::rng::{Rng, SplitMix};

use super::discovery::Discovery;
use super::{Builder, ResponseFuture};
use crate::picker::{AvoidTried, Endpoints, Named, P2c, PickContext, Picker};
use crate::ready_cache::ReadyCache;
use crate::ready_cache::cache::IdChange;
use crate::ready_cache::error::Failed;
use crate::{BoxError, Event, error};

/// Sends each request to one of the ready endpoints, by default the less loaded of two drawn at random: see the
/// [module](super).
///
/// To use another [`Picker`], build it with the [`builder`](Balance::builder).
pub struct Balance<D, Req, P = P2c>
where
    D: Discover,
    D::Key: Hash,
{
    discover: Discovery<D>,
    /// The last result of discovery, if it was an error.
    discover_error: Option<error::Discover>,
    endpoints: ReadyCache<D::Key, D::Service, Req>,
    /// The index of the endpoint that receives the request, set by `poll_ready`; arbitrary if the picker uses the
    /// request.
    picked: Option<usize>,
    /// The generation of the ready set in which `picked` is valid.
    picked_at: u64,
    /// The error of the next request, if it is not sent to an endpoint.
    refusal: Option<BoxError>,
    picker: P,
    random: Random,
    pub(super) observer: Option<Observer<D::Key>>,
    pub(super) reject: Option<Reject>,
}

pub(super) type Observer<K> = Box<dyn Fn(&Event<'_, K>) + Send + Sync>;
pub(super) type Reject = Box<dyn Fn() -> Option<BoxError> + Send + Sync>;

impl<D, Req> Balance<D, Req>
where
    D: Discover,
    D::Key: Hash,
    D::Service: Service<Req>,
    <D::Service as Service<Req>>::Error: Into<BoxError>,
{
    /// Creates a balancer over the endpoints of `discover`.
    pub fn new(discover: D) -> Self {
        Self::with_parts(discover, P2c::new(), Random::Own(SplitMix::new()))
    }

    /// Like [`new`](Self::new), with the given random number generator.
    pub fn from_rng<R: Rng + Send + Sync + 'static>(discover: D, rng: R) -> Self {
        Self::with_parts(discover, P2c::new(), Random::Given(Box::new(rng)))
    }
}

impl<D> Balance<D, ()>
where
    D: Discover,
    D::Key: Hash,
{
    /// Returns a builder for a balancer over the endpoints of `discover`.
    pub fn builder(discover: D) -> Builder<D> {
        Builder::new(discover)
    }
}

impl<D, Req, P> Balance<D, Req, P>
where
    D: Discover,
    D::Key: Hash,
{
    /// Like [`new`](Balance::new), with the given picker.
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
        if balance.picker.hints().tracks {
            balance.endpoints.track_ids();
        }
        balance
    }

    fn with_parts(discover: D, picker: P, random: Random) -> Self {
        Self {
            discover: Discovery::new(discover),
            discover_error: None,
            endpoints: ReadyCache::default(),
            picked: None,
            picked_at: 0,
            refusal: None,
            picker,
            random,
            observer: None,
            reject: None,
        }
    }

    /// Calls `observer` when discovery or an endpoint fails, replacing any previous observer. It is called while the
    /// balancer is polled, so it must not block.
    ///
    /// # Example
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # use std::convert::Infallible;
    /// # use futures::stream;
    /// # use tower_load::Constant;
    /// # use tower_util::{ServiceExt, service_fn};
    /// use tower_balance::{Event, p2c::Balance};
    /// use tower_discover::Change;
    ///
    /// # let echo = Constant::new(service_fn(|n: u32| async move { Ok::<_, Infallible>(n) }), 1);
    /// let found = stream::iter([Ok(Change::Insert("10.0.0.1:80", echo)), Err("no such name")]);
    /// let balance = Balance::new(found).on_event(|event| match event {
    ///     Event::DiscoveryFailed { error } => println!("{error}"),
    ///     Event::EndpointFailed { key, error } => println!("{key}: {error}"),
    ///     _ => {}
    /// });
    /// // The endpoint can be used although discovery has failed.
    /// assert_eq!(balance.oneshot(7).await.unwrap(), 7);
    /// # }
    /// ```
    #[must_use]
    pub fn on_event(
        mut self,
        observer: impl Fn(&Event<'_, D::Key>) + Send + Sync + 'static,
    ) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Rejects requests instead of letting them wait, while there are endpoints, none of them is ready, and `error`
    /// returns an error: the next request fails with it. Replaces any previous condition. By default requests wait.
    ///
    /// `error` is called whenever the balancer is polled and no endpoint is ready, so it must not block. If its result
    /// changes, the balancer must be woken, by waking an endpoint or discovery; otherwise it is not called again. The
    /// `Health` of `tower-health` does so.
    ///
    /// # Example
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use tower_balance::p2c::Balance;
    /// use tower_discover::ServiceList;
    /// use tower_load::Constant;
    /// use tower_util::ServiceExt;
    ///
    /// // An endpoint that is not ready.
    /// let (endpoint, mut handle) = tower_test::mock::pair::<u32, u32>();
    /// handle.allow(0);
    /// let list = ServiceList::new::<u32>([Constant::new(endpoint, 1)]);
    /// let balance = Balance::new(list).reject_if(|| Some("not now".into()));
    /// assert_eq!(balance.oneshot(1).await.unwrap_err().to_string(), "not now");
    /// # }
    /// ```
    #[must_use]
    pub fn reject_if(
        mut self,
        error: impl Fn() -> Option<BoxError> + Send + Sync + 'static,
    ) -> Self {
        self.reject = Some(Box::new(error));
        self
    }

    /// Sends a retry to an endpoint that the request was not sent to before, if one is ready. `find` returns the
    /// [`Tried`] set of a request, to which the balancer adds each endpoint it sends the request to.
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
    /// // The endpoint with the lowest load fails, and so does the second.
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
            discover_error: self.discover_error,
            endpoints: self.endpoints,
            picked: None,
            picked_at: 0,
            refusal: None,
            picker: AvoidTried::new(self.picker, find, random.next_u64()),
            random,
            observer: self.observer,
            reject: self.reject,
        }
    }

    /// Returns a reference to the picker.
    pub const fn picker(&self) -> &P {
        &self.picker
    }

    /// Returns the number of endpoints, ready or not. An endpoint that is being replaced counts once.
    pub fn len(&self) -> usize {
        self.endpoints.keys_len()
    }

    /// Returns whether there are no endpoints.
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
    #[cold]
    fn poll_discover(&mut self, cx: &Context<'_>) {
        for _ in 0..CHANGES_PER_POLL {
            match self.discover.poll_change() {
                Poll::Ready(Some(Ok(Change::Insert(key, service)))) => {
                    self.discover_error = None;
                    self.endpoints.push(key, service);
                }
                Poll::Ready(Some(Ok(Change::Remove(key)))) => {
                    self.discover_error = None;
                    self.endpoints.evict(&key);
                }
                Poll::Ready(Some(Err(error))) => self.discovery_failed(error),
                Poll::Ready(None) | Poll::Pending => return,
            }
        }
        cx.waker().wake_by_ref();
    }

    #[cold]
    fn discovery_failed(&mut self, error: BoxError) {
        tracing::warn!(error, endpoints = self.len(), "discovery failed");
        let error = error::Discover::new(error);
        self.notify(&Event::DiscoveryFailed { error: &error });
        self.discover_error = Some(error);
    }

    fn poll_endpoints(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Err(failed)) = self.endpoints.poll_changed(cx) {
            self.dropped(&failed);
        }
    }

    #[cold]
    fn dropped(&self, failed: &Failed<D::Key>) {
        let Failed(key, error) = failed;
        tracing::warn!(error, "dropping an endpoint that failed to become ready");
        self.notify(&Event::EndpointFailed { key, error });
    }

    fn notify(&self, event: &Event<'_, D::Key>) {
        if let Some(observer) = &self.observer {
            observer(event);
        }
    }

    #[cold]
    fn take_refusal(&mut self) -> BoxError {
        let refusal = self.refusal.take();
        refusal.expect("service not ready; poll_ready must be called first")
    }

    /// Handles a poll while no endpoint is ready.
    ///
    /// An error from `poll_ready` is final, also for a buffer above, so it is returned only if no endpoint can be added
    /// anymore. Otherwise the next request fails with the error, if there is one.
    #[cold]
    fn poll_without_endpoint(&mut self) -> Poll<Result<(), BoxError>> {
        self.refusal = None;
        if self.endpoints.is_empty() {
            let ended = self.discover.has_ended();
            match &self.discover_error {
                Some(error) if ended => return Poll::Ready(Err(error.clone().into())),
                Some(error) => self.refusal = Some(error.clone().into()),
                None if ended => return Poll::Ready(Err(error::NoEndpoints(()).into())),
                None => {}
            }
        } else if let Some(reject) = &self.reject {
            self.refusal = reject();
        }
        match self.refusal {
            Some(_) => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }

    #[inline]
    fn report_changes(&mut self) {
        if self.picker.hints().tracks {
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

    /// Releases the reservation of the picked endpoint, which stays ready.
    #[cold]
    fn release_picked(&mut self) {
        if let Some(index) = self.picked.take() {
            Purpose::Drive.run(|| self.is_ready_again(index));
        }
    }

    /// Polls the endpoint again, and returns whether it is still ready. If not, it is pending, or was dropped.
    #[inline]
    fn is_ready_again(&mut self, index: usize) -> bool {
        self.endpoints
            .check_ready_again(index)
            .unwrap_or_else(|failed| {
                self.dropped(&failed);
                self.report_changes();
                false
            })
    }

    /// Picks an endpoint for a request. All were ready when they were last polled. If there are several, the picked one
    /// is polled again.
    fn pick_for(&mut self, request: &Req) -> Option<usize> {
        while self.endpoints.ready_len() > 1 {
            let index = self.pick(Some(request)).unwrap_or(0);
            if self.is_ready_again(index) {
                return Some(index);
            }
        }
        // The last ready endpoint is not polled again: if it were pending, there would be none to send the request to.
        (self.endpoints.ready_len() == 1).then(|| {
            // So that the picker sees the request.
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
    type Future = ResponseFuture<<D::Service as Service<Req>>::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if Purpose::current() == Purpose::Release {
            self.release_picked();
            return Poll::Pending;
        }
        let picked = self.picked.take();
        if self.discover.may_change(cx) {
            // `Call` even while the balancer is only driven: discovery may call services of its own, such as health
            // checks.
            Purpose::Call.run(|| self.poll_discover(cx));
        }
        // Only the endpoint that receives the request makes a reservation, when it is polled again.
        Purpose::Drive.run(|| self.poll_endpoints(cx));
        self.report_changes();
        let hints = self.picker.hints();
        if hints.by_request {
            // Any ready endpoint may be picked, and is then polled again; the last one is not, so poll it here.
            while let len @ 1.. = self.endpoints.ready_len() {
                if len > 1 || self.is_ready_again(0) {
                    self.picked = Some(0);
                    return Poll::Ready(Ok(()));
                }
            }
        } else {
            // An index is valid only until the set changes.
            let mut kept =
                picked.filter(|_| !hints.repicks && self.picked_at == self.endpoints.generation());
            while let Some(index) = kept.take().or_else(|| self.pick(None)) {
                if self.is_ready_again(index) {
                    self.picked = Some(index);
                    if !hints.repicks {
                        self.picked_at = self.endpoints.generation();
                    }
                    return Poll::Ready(Ok(()));
                }
            }
        }
        self.poll_without_endpoint()
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let mut picked = self.picked.take();
        if self.picker.hints().by_request && picked.is_some() {
            picked = self.pick_for(&request);
            if let Some(index) = picked {
                self.picker.sent(&self.endpoints, index, &request);
            }
        }
        match picked {
            Some(index) => ResponseFuture::called(self.endpoints.call_in_place(index, request)),
            None => ResponseFuture::refused(self.take_refusal()),
        }
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

/// The source of random numbers and time.
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

/// After this number of changes, `poll_discover` yields to requests.
const CHANGES_PER_POLL: usize = 256;

use std::fmt;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use tokio::time::Instant;
use tower_classify::Class;
use tower_discover::{Change, Discover};
use tower_load::Load;
use tower_service::Service;

use super::driver::Driver;
use super::rule::{Endpoint, Registration, Rule};
use super::task::Task;
use super::{Health, Standing};
use crate::policy::SlowStart;

/// A [`Discover`] that gives new and recovered endpoints a fraction of their weight at first, and increases it to the
/// full weight; see [`SlowStart`].
///
/// Slow start begins when an endpoint is added, and when it becomes healthy again in all wrappers that share its
/// [`Health`]. Use it with a picker that reads the weights for each request, such as `LeastLoaded`: not with `P2c`,
/// which ignores weights, and not with a hashing picker, which builds a table from them.
///
/// All weights are multiplied by 100, so that a weight of 1 can be reduced. Therefore all weights above 42,949,672 are
/// equal.
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use futures_util::StreamExt;
/// use tower_health::SlowStartDiscover;
/// use tower_health::policy::SlowStart;
/// use tower_discover::{Change, ServiceList};
/// use tower_load::{Constant, Load};
/// # use tower_util::{BoxError, service_fn};
/// # let echo = service_fn(|n: u32| async move { Ok::<_, BoxError>(n) });
///
/// let list = ServiceList::new::<u32>([Constant::new(echo, 1)]);
/// let mut discover = SlowStartDiscover::new(list, SlowStart::new(Duration::from_secs(60)));
/// let Some(Ok(Change::Insert(_, endpoint))) = discover.next().await else { panic!() };
/// assert_eq!(Load::relative_weight(&endpoint), 10);
/// tokio::time::advance(Duration::from_secs(30)).await;
/// assert_eq!(Load::relative_weight(&endpoint), 50);
/// # }
/// ```
///
/// # Cost
///
/// Each weight that a picker reads takes a lock of the endpoint and reads the clock.
pub struct SlowStartDiscover<D>
where
    D: Discover<Key: Hash + Clone + fmt::Debug>,
{
    driver: Driver<D, Weights<D::Key>>,
}

/// The rule of [`SlowStartDiscover`].
pub struct Weights<K> {
    slow_start: SlowStart,
    health: Health<K>,
    task: Task,
}

/// The service of an endpoint in a [`SlowStartDiscover`]: reduces the weight of the inner service, and forwards
/// requests unchanged.
pub struct Warming<S, K>
where
    K: Hash + Eq + Clone + fmt::Debug,
{
    inner: S,
    registration: Arc<Registration<Weights<K>>>,
}

impl<D> SlowStartDiscover<D>
where
    D: Discover<Key: Hash + Clone + fmt::Debug> + Unpin,
{
    /// Applies `slow_start` to the endpoints of `discover`.
    pub fn new(discover: D, slow_start: SlowStart) -> Self {
        let rule = Weights {
            slow_start,
            health: Health::new(),
            task: Task::default(),
        };
        let driver = Driver::new(discover, rule);
        Self { driver }
    }

    /// Sets the health that is shared with other wrappers of the same endpoints: an endpoint that becomes healthy again
    /// starts slowly again. By default the wrapper has its own.
    ///
    /// Call it before the first endpoint is added; later it has no effect.
    #[must_use]
    pub fn with_health(mut self, health: Health<D::Key>) -> Self {
        if let Some(rule) = self.driver.rule_mut() {
            rule.health = health;
        }
        self
    }
}

impl<D> Stream for SlowStartDiscover<D>
where
    D: Discover<Key: Hash + Clone + fmt::Debug> + Unpin,
{
    type Item = Result<Change<D::Key, Warming<D::Service, D::Key>>, D::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let change = ready!(self.driver.poll_change(cx));
        Poll::Ready(change.map(|change| {
            Ok(match change? {
                Change::Insert(key, (inner, registration)) => Change::Insert(
                    key,
                    Warming {
                        inner,
                        registration,
                    },
                ),
                Change::Remove(key) => Change::Remove(key),
            })
        }))
    }
}

impl<D> Unpin for SlowStartDiscover<D> where D: Discover<Key: Hash + Clone + fmt::Debug> + Unpin {}

impl<S: Load, K: Hash + Eq + Clone + fmt::Debug> Load for Warming<S, K> {
    type Metric = S::Metric;

    fn load(&self) -> S::Metric {
        self.inner.load()
    }

    fn relative_weight(load: &Self) -> u32 {
        let endpoint = &load.registration.0;
        let age = Instant::now().saturating_duration_since(endpoint.membership.healthy_since());
        // Whole percents, because some pickers do work for each change of a weight.
        let percent = (endpoint.rule.slow_start.factor(age) * 100.0).ceil() as u64;
        let weight = u64::from(S::relative_weight(&load.inner)) * percent;
        u32::try_from(weight).unwrap_or(u32::MAX)
    }
}

impl<S, K, Req> Service<Req> for Warming<S, K>
where
    S: Service<Req>,
    K: Hash + Eq + Clone + fmt::Debug,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> S::Future {
        self.inner.call(request)
    }
}

impl<K: Hash + Eq + Clone + fmt::Debug> Rule for Weights<K> {
    type Key = K;
    type State = ();
    type Attempt = ();

    fn health(&self) -> &Health<K> {
        &self.health
    }

    fn task(&self) -> &Task {
        &self.task
    }

    fn fresh(&self) -> ((), Standing) {
        ((), Standing::Healthy)
    }

    fn begin(&self, _: &Arc<Endpoint<Self>>) {}

    fn end(&self, _: &Arc<Endpoint<Self>>, (): (), _: Class) {}
}

impl<D> fmt::Debug for SlowStartDiscover<D>
where
    D: Discover<Key: Hash + Clone + fmt::Debug> + fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SlowStartDiscover")
            .field(&self.driver)
            .finish()
    }
}

impl<K> fmt::Debug for Weights<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Weights").field(&self.slow_start).finish()
    }
}

impl<S: fmt::Debug, K: Hash + Eq + Clone + fmt::Debug> fmt::Debug for Warming<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warming")
            .field("inner", &self.inner)
            .field("endpoint", &self.registration.0.membership.key)
            .finish()
    }
}

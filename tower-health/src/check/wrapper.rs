use std::fmt;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use futures_util::Stream;
use futures_util::stream::FuturesUnordered;
use tower_discover::{Change, Discover};
use tower_service::Service;
use tower_util::rng::{Rng, SplitMix};

use super::round::Running;
use super::{CheckConfig, Checks, Verdict};
use crate::BoxError;
use crate::driver::Driver;
use crate::policy::InvalidPolicy;
use crate::rule::Rule;
use crate::{Guarded, Health};

/// A [`Discover`] that checks its endpoints, and ejects them while the checks fail; see the [module](super).
///
/// The checks run when the balancer polls the `Discover`; there is no task. While the check service is not ready, the
/// checks wait. If its `poll_ready` fails, the check of one endpoint counts as [`Verdict::Failing`], and a new clone of
/// the service is used from then on. If an endpoint is removed during its check, the check runs to its end and is
/// ignored.
///
/// # Panics
///
/// If a check panics, it panics in the task that polls the balancer.
pub struct CheckHealth<D, M>
where
    D: Discover<Key: Hash + Clone + fmt::Debug>,
    M: Service<D::Key>,
{
    driver: Driver<D, Checks<D::Key>>,
    check: M,
    /// The service to clone when `check` fails to become ready. It is never polled itself.
    pristine: M,
    /// `M::clone`, stored here so that only `new` needs the bound.
    clone: fn(&M) -> M,
    running: FuturesUnordered<Running<M::Future, Checks<D::Key>>>,
}

impl<D, M> CheckHealth<D, M>
where
    D: Discover<Key: Hash + Clone + fmt::Debug> + Unpin,
    M: Service<D::Key, Response = Verdict>,
{
    /// Checks the endpoints of `discover` with the service `check`.
    ///
    /// # Errors
    ///
    /// If an interval, the timeout, a threshold or the concurrency is zero.
    pub fn new(discover: D, config: CheckConfig, check: M) -> Result<Self, InvalidPolicy>
    where
        M: Clone,
    {
        config.validate()?;
        Ok(Self {
            driver: Driver::new(discover, Checks::new(config, Box::new(SplitMix::new()))),
            pristine: check.clone(),
            clone: M::clone,
            check,
            running: FuturesUnordered::new(),
        })
    }

    /// Sets the random number generator for the jitter of the intervals. By default it is seeded randomly.
    ///
    /// Call it before the first endpoint is added; later it has no effect.
    #[must_use]
    pub fn with_rng(mut self, rng: impl Rng + Send + 'static) -> Self {
        if let Some(rule) = self.driver.rule_mut() {
            rule.rng = Mutex::new(Box::new(rng));
        }
        self
    }

    /// Sets the health that is shared with other wrappers of the same endpoints. By default the wrapper has its own.
    ///
    /// Call it before the first endpoint is added; later it has no effect.
    #[must_use]
    pub fn with_health(mut self, health: Health<D::Key>) -> Self {
        if let Some(rule) = self.driver.rule_mut() {
            rule.health = health;
        }
        self
    }

    /// Returns the health of the endpoints.
    pub fn health(&self) -> &Health<D::Key> {
        self.driver.rule().health()
    }
}

impl<D, M> CheckHealth<D, M>
where
    D: Discover<Key: Hash + Clone + fmt::Debug> + Unpin,
    M: Service<D::Key, Response = Verdict, Error: Into<BoxError>>,
{
    /// Completes and starts checks until all are pending. Returns whether the timer must be polled again, because a
    /// check has ended.
    fn poll_checks(&mut self, cx: &mut Context<'_>) -> bool {
        let rule = self.driver.rule();
        let mut ended = false;
        loop {
            while let Poll::Ready(Some((endpoint, verdict))) =
                Pin::new(&mut self.running).poll_next(cx)
            {
                rule.checked(&endpoint, verdict);
                ended = true;
            }
            if self.running.len() >= rule.config.concurrency || !rule.has_due() {
                return ended;
            }
            let Poll::Ready(ready) = self.check.poll_ready(cx) else {
                return ended;
            };
            if let Err(error) = ready {
                let error: BoxError = error.into();
                tracing::warn!(error, "the health check service failed to become ready");
                self.check = (self.clone)(&self.pristine);
                if let Some(endpoint) = rule.take_due() {
                    rule.checked(&endpoint, Verdict::Failing);
                    ended = true;
                }
            } else if let Some(endpoint) = rule.take_due() {
                let check = self.check.call(endpoint.membership.key.clone());
                let running = Running::new(check, rule.config.timeout, endpoint);
                self.running.push(running);
            }
        }
    }
}

impl<D, M> Stream for CheckHealth<D, M>
where
    D: Discover<Key: Hash + Clone + fmt::Debug> + Unpin,
    M: Service<D::Key, Response = Verdict, Error: Into<BoxError>>,
{
    type Item = Result<Change<D::Key, Guarded<D::Service, Checks<D::Key>, ()>>, D::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let change = self.driver.poll_guarded(cx, &());
            if change.is_ready() || !self.poll_checks(cx) {
                return change;
            }
        }
    }
}

impl<D, M> Unpin for CheckHealth<D, M>
where
    D: Discover<Key: Hash + Clone + fmt::Debug> + Unpin,
    M: Service<D::Key>,
{
}

impl<D, M> fmt::Debug for CheckHealth<D, M>
where
    D: Discover<Key: Hash + Clone + fmt::Debug> + fmt::Debug,
    M: Service<D::Key>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckHealth")
            .field("driver", &self.driver)
            .field("running", &self.running.len())
            .finish_non_exhaustive()
    }
}

//! What all wrappers around a `Discover` have in common: endpoints that exist as long as their services, and one timer.

use std::fmt;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use indexmap::IndexMap;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_discover::{Change, Discover, Paced};

use super::Guarded;
use super::rule::{Endpoint, Registration, Rule};

/// Forwards the changes of the inner `Discover`, adds a [`Registration`] to each service, and runs the rule when it is due.
pub(super) struct Driver<D, R>
where
    D: Discover,
    R: Rule,
{
    discover: Paced<D>,
    endpoints: IndexMap<R::Key, Weak<Registration<R>>>,
    timer: Option<Pin<Box<Sleep>>>,
    rule: Arc<R>,
}

impl<D, R> Driver<D, R>
where
    D: Discover<Key = R::Key> + Unpin,
    R: Rule,
{
    pub(super) fn new(discover: D, rule: R) -> Self {
        Self {
            discover: Paced::new(discover),
            endpoints: IndexMap::new(),
            timer: None,
            rule: Arc::new(rule),
        }
    }

    /// Polls for the next change. After the inner `Discover` has ended, it stays pending until the last service is
    /// dropped.
    pub(super) fn poll_change(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Change<R::Key, (D::Service, Arc<Registration<R>>)>, D::Error>>> {
        // Registered before any state is read, so that no later change is missed.
        self.rule.task().register(cx);
        // Before discovery, which may return an error at every poll.
        while self.poll_timer(cx).is_ready() {
            self.rule.run(Instant::now());
        }
        match Pin::new(&mut self.discover).poll_change(cx)? {
            Poll::Ready(Some(Change::Insert(key, service))) => {
                let registration = self.enter(&key);
                return Poll::Ready(Some(Ok(Change::Insert(key, (service, registration)))));
            }
            Poll::Ready(Some(Change::Remove(key))) => {
                self.endpoints.swap_remove(&key);
                return Poll::Ready(Some(Ok(Change::Remove(key))));
            }
            Poll::Ready(None) | Poll::Pending => {}
        }
        match self.discover.has_ended() && self.rule.task().is_idle() {
            true => Poll::Ready(None),
            false => Poll::Pending,
        }
    }

    /// Like [`poll_change`](Self::poll_change), with the services wrapped in [`Guarded`].
    pub(super) fn poll_guarded<C: Clone>(
        &mut self,
        cx: &mut Context<'_>,
        classify: &C,
    ) -> Poll<Option<Result<Change<R::Key, Guarded<D::Service, R, C>>, D::Error>>> {
        let change = ready!(self.poll_change(cx));
        Poll::Ready(change.map(|change| {
            Ok(match change? {
                Change::Insert(key, service) => {
                    Change::Insert(key, Guarded::new(service, classify.clone()))
                }
                Change::Remove(key) => Change::Remove(key),
            })
        }))
    }

    pub(super) fn rule(&self) -> &R {
        &self.rule
    }

    pub(super) fn downgrade_rule(&self) -> Weak<R> {
        Arc::downgrade(&self.rule)
    }

    /// Returns the rule, or `None` once there has been an endpoint.
    pub(super) fn rule_mut(&mut self) -> Option<&mut R> {
        Arc::get_mut(&mut self.rule)
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = self.rule.next_due() else {
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(cx)
    }

    /// Registers the endpoint of a new service. While an older service of the endpoint exists, they share its state.
    fn enter(&mut self, key: &R::Key) -> Arc<Registration<R>> {
        if let Some(registration) = self.endpoints.get(key).and_then(Weak::upgrade) {
            return registration;
        }
        let registration = Arc::new(Registration(Endpoint::enter(&self.rule, key.clone())));
        self.endpoints
            .insert(key.clone(), Arc::downgrade(&registration));
        registration
    }
}

impl<D: Discover + fmt::Debug, R: Rule> fmt::Debug for Driver<D, R>
where
    R::Key: Hash + Eq + fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("discover", &self.discover)
            .field("endpoints", &self.endpoints.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

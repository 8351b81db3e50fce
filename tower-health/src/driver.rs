//! What all wrappers around a `Discover` have in common: endpoints that live as long as their services, and one timer.

use std::fmt;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker, ready};

use indexmap::IndexMap;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_discover::{Change, Discover, Paced};

use super::Guarded;
use super::gate::Pass;
use super::rule::{Endpoint, Rule};
use crate::lock::lock;

/// Passes the changes on, each service with a [`Live`] to go with it, and lets the rule do what is due.
pub(super) struct Driver<D, R>
where
    D: Discover,
    R: Rule,
{
    discover: Paced<D>,
    endpoints: IndexMap<R::Key, Weak<Live<R>>>,
    timer: Option<Pin<Box<Sleep>>>,
    rule: Arc<R>,
}

/// Held by the services of an endpoint. Dropped with the last of them, the rule forgets the endpoint.
pub(super) struct Live<R: Rule>(pub(super) Arc<Endpoint<R>>);

/// The task that polls a driver, and how many endpoints are alive.
#[allow(unreachable_pub, unnameable_types, reason = "sealed")]
#[derive(Debug, Default)]
pub struct Task(Mutex<(Option<Waker>, usize)>);

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

    /// The next change. Without one it is pending, also after discovery has ended, until no service is alive any more.
    pub(super) fn poll_change(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Change<R::Key, (D::Service, Arc<Live<R>>)>, D::Error>>> {
        // Before anything is looked at: what happens after that wakes the task.
        self.rule.task().register(cx);
        // Before discovery, which may have nothing but errors to say.
        while self.poll_timer(cx).is_ready() {
            self.rule.run(Instant::now());
        }
        match Pin::new(&mut self.discover).poll_change(cx)? {
            Poll::Ready(Some(Change::Insert(key, service))) => {
                let live = self.enter(&key);
                return Poll::Ready(Some(Ok(Change::Insert(key, (service, live)))));
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

    /// The next change, with services that obey the rule.
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

    /// The rule, as long as there has been no endpoint.
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

    /// A new service of an endpoint that is alive shares what is known of it.
    fn enter(&mut self, key: &R::Key) -> Arc<Live<R>> {
        if let Some(live) = self.endpoints.get(key).and_then(Weak::upgrade) {
            return live;
        }
        let live = Arc::new(Live(Endpoint::enter(&self.rule, key.clone())));
        self.endpoints.insert(key.clone(), Arc::downgrade(&live));
        live
    }
}

impl<R: Rule> Live<R> {
    pub(super) fn pass(&self) -> Pass {
        self.0.seat.pass()
    }
}

impl<R: Rule> Drop for Live<R> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Task {
    pub(super) fn wake(&self) {
        let waker = self.lock().0.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn entered(&self) {
        self.lock().1 += 1;
    }

    pub(super) fn left(&self) {
        self.lock().1 -= 1;
        self.wake();
    }

    fn is_idle(&self) -> bool {
        self.lock().1 == 0
    }

    fn register(&self, cx: &Context<'_>) {
        let waker = &mut self.lock().0;
        match waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, (Option<Waker>, usize)> {
        lock(&self.0)
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

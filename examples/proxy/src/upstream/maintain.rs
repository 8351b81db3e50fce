//! What the connections to an endpoint share in either protocol: their number, and the endpoint's health.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};

use super::UpstreamError;
use super::error::ConnectError;
use crate::config::Connections;
use crate::lock::lock;

/// The state of an endpoint's connections.
#[derive(Debug)]
pub(super) struct State {
    /// The number of connections that are open or being opened.
    live: AtomicUsize,
    /// Notified when a connection is lost, or a slot is free.
    lost: Notify,
    /// Notified when a connection is returned, or a slot is free.
    freed: Notify,
    waiting: AtomicUsize,
    broken: AtomicBool,
    waker: AtomicWaker,
    /// The number of responses so far.
    answers: AtomicUsize,
    failures: Mutex<Failures>,
    ticks: Ticks,
}

/// Consecutive failures to connect, without a response in between.
#[derive(Debug, Default)]
struct Failures {
    answers: usize,
    number: usize,
    since: Option<Instant>,
}

impl State {
    pub(super) fn new(connections: &Connections) -> Arc<Self> {
        Arc::new(Self {
            live: AtomicUsize::new(0),
            lost: Notify::new(),
            freed: Notify::new(),
            waiting: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            answers: AtomicUsize::new(0),
            failures: Mutex::default(),
            ticks: Ticks::new(connections),
        })
    }

    /// Is ready until the endpoint fails, and then wakes the task.
    pub(super) fn poll_ready(&self, cx: &Context<'_>) -> Poll<Result<(), UpstreamError>> {
        // Registered before the check, so that a failure in between is not missed.
        self.waker.register(cx.waker());
        Poll::Ready(match self.broken.load(Ordering::Acquire) {
            true => Err(UpstreamError::Closed),
            false => Ok(()),
        })
    }

    /// Takes a slot for one more connection, or returns `None` if the maximum is reached.
    pub(super) fn slot(self: &Arc<Self>, max: usize) -> Option<Slot> {
        let more = |live| (live < max).then_some(live + 1);
        let taken = self
            .live
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.ok().map(|_| Slot(Arc::clone(self)))
    }

    pub(super) fn answered(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn answers(&self) -> usize {
        self.answers.load(Ordering::Relaxed)
    }

    /// Records that opening another connection failed, which began after `answers_before` responses. The endpoint then
    /// counts as failed, unless other connections remain and the failure was local or isolated. Returns whether the
    /// endpoint is still healthy.
    pub(super) fn failed(&self, error: &UpstreamError, answers_before: usize) -> bool {
        let answers = self.answers();
        let now = Instant::now();
        let often = {
            let mut failures = lock(&self.failures);
            if failures.answers != answers {
                *failures = Failures::default();
            }
            failures.answers = answers;
            failures.number += 1;
            let since = *failures.since.get_or_insert(now);
            failures.number >= TELLING && now - since >= TELLING_TIME
        };
        // The failed connection has returned its slot.
        let others = self.live.load(Ordering::Acquire) > 0;
        let survives = match error {
            UpstreamError::Connect { source, .. } if source.is_local() => true,
            // It used up the whole timeout: a healthy endpoint has sent another response meanwhile.
            UpstreamError::Connect {
                source: ConnectError::Elapsed(_),
                ..
            } => answers != answers_before,
            _ => !often,
        };
        let well = others && survives;
        if !well {
            self.fail();
        }
        well
    }

    /// Marks the endpoint as failed: it takes no more requests, and `Reconnect` replaces it.
    fn fail(&self) {
        self.broken.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Reports that a connection ended on its own.
    pub(super) fn lost_one(&self) {
        self.lost.notify_one();
    }

    /// Reports that a connection can take another request.
    pub(super) fn freed_one(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.freed.notify_one();
        }
    }

    /// Waits until `take` returns a value. Returns `None` if it does not by `deadline`.
    pub(super) async fn wait_for<T>(
        &self,
        deadline: Instant,
        take: impl Fn() -> Option<T>,
    ) -> Option<T> {
        let _waiting = Waiting::new(&self.waiting);
        loop {
            if let Some(taken) = take() {
                return Some(taken);
            }
            timeout_at(deadline, self.freed.notified()).await.ok()?;
        }
    }

    pub(super) const fn ticks(&self) -> &Ticks {
        &self.ticks
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Counts a connection against the maximum until dropped.
#[derive(Debug)]
pub(super) struct Slot(Arc<State>);

impl Drop for Slot {
    fn drop(&mut self) {
        let last = self.0.live.fetch_sub(1, Ordering::AcqRel) == 1;
        self.0.freed_one();
        if last {
            self.0.lost_one();
        }
    }
}

/// A coarse clock for ages and idle times, which costs requests nothing.
#[derive(Debug)]
pub(super) struct Ticks {
    now: AtomicU32,
    length: Duration,
    idle: Option<u32>,
    age: Option<u32>,
}

impl Ticks {
    fn new(connections: &Connections) -> Self {
        let (idle, age) = (connections.idle_timeout, connections.max_connection_age);
        let shortest = idle.into_iter().chain(age).min().unwrap_or(LONGEST_TICK);
        let length = (shortest / 4).clamp(SHORTEST_TICK, LONGEST_TICK);
        let ticks = |time: Duration| {
            u32::try_from(time.as_millis() / length.as_millis())
                .unwrap_or(u32::MAX)
                .max(1)
        };
        Self {
            now: AtomicU32::new(0),
            length,
            idle: idle.map(ticks),
            age: age.map(ticks),
        }
    }

    pub(super) fn now(&self) -> u32 {
        self.now.load(Ordering::Relaxed)
    }

    /// Returns whether a connection that has been idle since then is past its idle timeout.
    pub(super) fn is_idle(&self, since: u32) -> bool {
        self.idle.is_some_and(|idle| self.now() - since > idle)
    }

    /// Returns whether a connection opened then is past its maximum age.
    pub(super) fn is_old(&self, born: u32) -> bool {
        self.age.is_some_and(|age| self.now() - born > age)
    }
}

/// The connections that a [`Maintainer`] maintains.
pub(super) trait Maintain: Send + Sync + 'static {
    fn state(&self) -> &Arc<State>;

    /// Drops connections that have ended, or are past their idle timeout or maximum age.
    fn sweep(&self) -> impl Future<Output = ()> + Send;

    /// Opens a connection after the last one has ended.
    fn renew(&self) -> impl Future<Output = Result<(), UpstreamError>> + Send;
}

/// Maintains connections, also while there are no requests, until it is dropped or the endpoint fails.
///
/// When the last connection ends for any reason, it opens another one. So an endpoint that fails while idle is
/// detected, and an endpoint that closes its connections now and then does not count as failed.
#[derive(Debug)]
pub(super) struct Maintainer(AbortHandle);

impl Maintainer {
    pub(super) fn of<K: Maintain>(connections: &Arc<K>) -> Self {
        let task = maintain(Arc::clone(connections.state()), Arc::downgrade(connections));
        Self(tokio::spawn(task).abort_handle())
    }
}

impl Drop for Maintainer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn maintain<K: Maintain>(state: Arc<State>, connections: Weak<K>) {
    let mut ticks = interval(state.ticks.length);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick completes immediately.
    ticks.tick().await;
    let mut renewed = Instant::now();
    while !state.broken.load(Ordering::Acquire) {
        tokio::select! {
            _ = ticks.tick() => {
                state.ticks.now.fetch_add(1, Ordering::Relaxed);
            }
            () = state.lost.notified() => {}
        }
        let Some(connections) = connections.upgrade() else {
            return;
        };
        connections.sweep().await;
        if state.live.load(Ordering::Acquire) > 0 {
            continue;
        }
        // If an endpoint closes every connection immediately, it gets no more than one per `RENEWAL`.
        sleep_until(renewed + RENEWAL).await;
        renewed = Instant::now();
        if state.live.load(Ordering::Acquire) > 0 {
            continue;
        }
        let answers = state.answers();
        match connections.renew().await {
            // A request has opened one meanwhile.
            Ok(()) | Err(UpstreamError::Exhausted) => {}
            Err(error) if state.failed(&error, answers) => {}
            Err(error) => {
                tracing::debug!(%error, "the endpoint cannot be connected to any more");
            }
        }
    }
}

/// The number of consecutive failures to connect after which an endpoint that still has connections counts as failed,
const TELLING: usize = 3;
/// if they span at least this time without a response.
const TELLING_TIME: Duration = Duration::from_secs(1);
/// The minimum time between two renewals of the last connection.
const RENEWAL: Duration = Duration::from_secs(1);
const SHORTEST_TICK: Duration = Duration::from_millis(10);
const LONGEST_TICK: Duration = Duration::from_secs(15);

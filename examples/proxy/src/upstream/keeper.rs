//! What the connections to an endpoint share, whatever they speak: how many there are, and whether the endpoint is well.

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
    /// How many connections there are, or are about to be.
    live: AtomicUsize,
    /// A connection was lost, or a place became free.
    lost: Notify,
    /// A connection was given back, or a place became free.
    freed: Notify,
    waiting: AtomicUsize,
    broken: AtomicBool,
    waker: AtomicWaker,
    /// Responses so far.
    answers: AtomicUsize,
    failures: Mutex<Failures>,
    ticks: Ticks,
}

/// Attempts to connect that failed one after the other, without an answer in between.
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

    /// Ready for requests until it is broken; the task is woken when it is.
    pub(super) fn poll_ready(&self, cx: &Context<'_>) -> Poll<Result<(), UpstreamError>> {
        // Registered before the look, so that an end in between is not missed.
        self.waker.register(cx.waker());
        Poll::Ready(match self.broken.load(Ordering::Acquire) {
            true => Err(UpstreamError::Closed),
            false => Ok(()),
        })
    }

    /// A place for one more connection, if there may be one.
    pub(super) fn place(self: &Arc<Self>, max: usize) -> Option<Place> {
        let more = |live| (live < max).then_some(live + 1);
        let taken = self
            .live
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.ok().map(|_| Place(Arc::clone(self)))
    }

    pub(super) fn answered(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn answers(&self) -> usize {
        self.answers.load(Ordering::Relaxed)
    }

    /// Notes that another connection could not be opened, which was begun after so many answers. The endpoint is broken then,
    /// unless there is reason to think that it is well, and it was us, or bad luck. Returns whether it is well.
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
        // The failed one has given its place back.
        let others = self.live.load(Ordering::Acquire) > 0;
        let survives = match error {
            UpstreamError::Connect { source, .. } if source.is_local() => true,
            // It took all the time there was: an endpoint that is well has answered something else meanwhile.
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

    /// It takes no more requests; whoever made it makes another.
    fn fail(&self) {
        self.broken.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// A connection has ended by itself.
    pub(super) fn lost_one(&self) {
        self.lost.notify_one();
    }

    /// A connection can be used by another request.
    pub(super) fn freed_one(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.freed.notify_one();
        }
    }

    /// What `take` finds, as soon as it finds something; `None` if it does not by `deadline`.
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

/// A connection counts as long as it has this.
#[derive(Debug)]
pub(super) struct Place(Arc<State>);

impl Drop for Place {
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

    /// Whether a connection that is idle since then has been so for too long.
    pub(super) fn is_idle(&self, since: u32) -> bool {
        self.idle.is_some_and(|idle| self.now() - since > idle)
    }

    /// Whether a connection from then is too old.
    pub(super) fn is_old(&self, born: u32) -> bool {
        self.age.is_some_and(|age| self.now() - born > age)
    }
}

/// What a keeper looks after.
pub(super) trait Kept: Send + Sync + 'static {
    fn state(&self) -> &Arc<State>;

    /// Lets go of connections that have ended, are idle for too long, or too old.
    fn sweep(&self) -> impl Future<Output = ()> + Send;

    /// Opens a connection, after the last one has gone.
    fn renew(&self) -> impl Future<Output = Result<(), UpstreamError>> + Send;
}

/// Looks after connections, also while there are no requests, until it is dropped or the endpoint is broken.
///
/// When the last connection has gone, for whatever reason, it opens another one: so an endpoint that died while it was idle
/// is found out, and one that closes its connections now and then is not thought dead.
#[derive(Debug)]
pub(super) struct Keeper(AbortHandle);

impl Keeper {
    pub(super) fn of<K: Kept>(kept: &Arc<K>) -> Self {
        let task = keep(Arc::clone(kept.state()), Arc::downgrade(kept));
        Self(tokio::spawn(task).abort_handle())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn keep<K: Kept>(state: Arc<State>, kept: Weak<K>) {
    let mut ticks = interval(state.ticks.length);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first one is at once.
    ticks.tick().await;
    let mut renewed = Instant::now();
    while !state.broken.load(Ordering::Acquire) {
        tokio::select! {
            _ = ticks.tick() => {
                state.ticks.now.fetch_add(1, Ordering::Relaxed);
            }
            () = state.lost.notified() => {}
        }
        let Some(kept) = kept.upgrade() else { return };
        kept.sweep().await;
        if state.live.load(Ordering::Acquire) > 0 {
            continue;
        }
        // One that closes all connections at once is not asked more often than that.
        sleep_until(renewed + RENEWAL).await;
        renewed = Instant::now();
        if state.live.load(Ordering::Acquire) > 0 {
            continue;
        }
        let answers = state.answers();
        match kept.renew().await {
            // A request has opened one meanwhile.
            Ok(()) | Err(UpstreamError::Exhausted) => {}
            Err(error) if state.failed(&error, answers) => {}
            Err(error) => {
                tracing::debug!(%error, "the endpoint cannot be connected to any more");
            }
        }
    }
}

/// So many attempts to connect must fail before an endpoint is thought broken that still has connections,
const TELLING: usize = 3;
/// over such a time in which it answers nothing.
const TELLING_TIME: Duration = Duration::from_secs(1);
/// Not sooner than so long after the last one is the last connection of an endpoint renewed.
const RENEWAL: Duration = Duration::from_secs(1);
const SHORTEST_TICK: Duration = Duration::from_millis(10);
const LONGEST_TICK: Duration = Duration::from_secs(15);

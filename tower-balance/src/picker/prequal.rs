use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;
use tower_readiness::ignore_poison;
use tower_util::rng::{Rng, SplitMix};

use super::{Endpoints, Hints, Named, PickContext, Picker};
use crate::policy::InvalidPolicy;
use crate::policy::prequal::{Prequal, PrequalConfig, Report};

/// Picks by the results of probes: see [`prequal`](crate::policy::prequal).
///
/// Each request makes a few probes due. [`Probes`] returns the endpoints to probe and takes the results;
/// [`Probes::run`] sends the probes.
#[derive(Debug)]
pub struct PrequalPicker {
    state: Arc<Mutex<State>>,
}

/// The part of a [`PrequalPicker`] for the task that sends the probes: it returns the endpoints to probe, and takes the
/// results.
#[derive(Debug)]
pub struct Probes {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// Its endpoint numbers are indices in `members`.
    prequal: Prequal,
    rng: SplitMix,
    members: Vec<Member>,
    /// The index in `members` of each endpoint number, and of each ticket.
    by_id: HashMap<usize, usize>,
    by_ticket: HashMap<usize, usize>,
    next_ticket: usize,
    /// The tickets of the probes that are due.
    due: VecDeque<usize>,
    waker: Option<Waker>,
    /// Whether the picker was dropped.
    closed: bool,
}

#[derive(Debug)]
struct Member {
    id: usize,
    name: Arc<str>,
    /// Identifies the endpoint in probes. It is never reused, so a late result is not attributed to another endpoint.
    ticket: usize,
}

impl PrequalPicker {
    /// Creates the picker and its probes.
    ///
    /// # Errors
    ///
    /// If a setting of `config` is out of range.
    pub fn new(config: PrequalConfig) -> Result<(Self, Probes), InvalidPolicy> {
        Self::with_rng(config, SplitMix::new())
    }

    /// Like [`new`](Self::new), with the given random numbers for how often a result is used, so that simulations are
    /// reproducible.
    ///
    /// # Errors
    ///
    /// If a setting of `config` is out of range.
    pub fn with_rng(config: PrequalConfig, rng: SplitMix) -> Result<(Self, Probes), InvalidPolicy> {
        let state = Arc::new(Mutex::new(State {
            prequal: Prequal::new(config, 0)?,
            rng,
            members: Vec::new(),
            by_id: HashMap::new(),
            by_ticket: HashMap::new(),
            next_ticket: 0,
            due: VecDeque::new(),
            waker: None,
            closed: false,
        }));
        let probes = Probes {
            state: Arc::clone(&state),
        };
        Ok((Self { state }, probes))
    }
}

impl<E: Named, Req> Picker<E, Req> for PrequalPicker {
    #[inline]
    fn hints(&self) -> Hints {
        Hints {
            tracks: true,
            ..Hints::NOTHING
        }
    }

    fn pick<C: PickContext>(
        &mut self,
        endpoints: &E,
        _: Option<&Req>,
        cx: &mut C,
    ) -> Option<usize> {
        let ready = endpoints.ready_len() as u64;
        if ready == 0 {
            return None;
        }
        let now = cx.now();
        let mut state = ignore_poison(self.state.lock());
        let waker = state.add_due(cx);
        let index = state.pick(endpoints, now, cx);
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        index.or_else(|| Some(cx.next_range(0..ready) as usize))
    }

    fn inserted(&mut self, endpoints: &E, id: usize) {
        if let Some((name, _)) = endpoints.name(id) {
            ignore_poison(self.state.lock()).insert(id, name.into());
        }
    }

    fn removed(&mut self, id: usize) {
        ignore_poison(self.state.lock()).remove(id);
    }
}

impl Drop for PrequalPicker {
    fn drop(&mut self) {
        let mut state = ignore_poison(self.state.lock());
        state.closed = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl State {
    /// Picks the best ready endpoint, and discards the results of better ones that are not ready.
    fn pick<E: Endpoints>(
        &mut self,
        endpoints: &E,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Option<usize> {
        for _ in 0..MAX_TRIES {
            let position = self.prequal.pick(now, rng)?;
            match endpoints.index_of(self.members[position].id) {
                Some(index) => return Some(index),
                None => self.prequal.forget(position),
            }
        }
        None
    }

    /// Adds an endpoint, replacing the former one with this number.
    fn insert(&mut self, id: usize, name: Arc<str>) {
        self.remove(id);
        let (ticket, position) = (self.next_ticket, self.members.len());
        self.next_ticket += 1;
        self.members.push(Member { id, name, ticket });
        self.by_id.insert(id, position);
        self.by_ticket.insert(ticket, position);
        self.prequal.set_endpoints(self.members.len());
    }

    fn remove(&mut self, id: usize) {
        let Some(position) = self.by_id.remove(&id) else {
            return;
        };
        let removed = self.members.swap_remove(position);
        self.by_ticket.remove(&removed.ticket);
        self.prequal.forget(position);
        // The last member moves to this index. Its result, under its old index, is discarded.
        if let Some(moved) = self.members.get(position) {
            self.by_id.insert(moved.id, position);
            self.by_ticket.insert(moved.ticket, position);
        }
        self.prequal.set_endpoints(self.members.len());
    }

    /// Adds the probes that another request makes due. Returns the waker of the task that waits for them.
    fn add_due(&mut self, rng: &mut impl Rng) -> Option<Waker> {
        for &position in self.prequal.probes(rng) {
            // If no task sends the probes, the newest are kept.
            if self.due.len() == MAX_DUE {
                self.due.pop_front();
            }
            self.due.push_back(self.members[position].ticket);
        }
        if self.due.is_empty() {
            None
        } else {
            self.waker.take()
        }
    }
}

impl Probes {
    /// Returns an endpoint to probe now, if one is due: the number for its [`report`](Self::report), and its name.
    pub fn next_due(&self) -> Option<(usize, Arc<str>)> {
        let mut state = ignore_poison(self.state.lock());
        while let Some(ticket) = state.due.pop_front() {
            if let Some(&position) = state.by_ticket.get(&ticket) {
                return Some((ticket, Arc::clone(&state.members[position].name)));
            }
        }
        None
    }

    /// Waits until a probe is due, and returns it like [`next_due`](Self::next_due). Returns `None` if the picker was
    /// dropped and no probe is due. Only the last task to poll is woken.
    pub fn poll_due(&self, cx: &mut Context<'_>) -> Poll<Option<(usize, Arc<str>)>> {
        // Registered first, so that a probe that becomes due after the check wakes the task.
        let closed = self.poll_closed(cx).is_ready();
        match self.next_due() {
            Some(due) => Poll::Ready(Some(due)),
            None if closed => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    /// Waits until the picker is dropped. The task is also woken when a probe becomes due.
    pub(super) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = ignore_poison(self.state.lock());
        if state.closed {
            return Poll::Ready(());
        }
        let outdated = state.waker.replace(cx.waker().clone());
        drop(state);
        drop(outdated);
        Poll::Pending
    }

    /// Records the result of a probe, whose endpoint must be the number from [`next_due`](Self::next_due).
    pub fn report(&self, report: Report, now: Instant) {
        let mut state = ignore_poison(self.state.lock());
        let State {
            prequal,
            rng,
            by_ticket,
            ..
        } = &mut *state;
        if let Some(&endpoint) = by_ticket.get(&report.endpoint) {
            prequal.report(Report { endpoint, ..report }, now, rng);
        }
    }
}

/// The maximum number of probes that wait to be sent. The result of each is useful for a second by default.
const MAX_DUE: usize = 64;
/// The default number of results in the pool.
const MAX_TRIES: usize = 16;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;
use tower_util::rng::{Rng, SplitMix};

use super::{Endpoints, Hints, Named, PickContext, Picker};
use crate::lock::lock;
use crate::policy::InvalidPolicy;
use crate::policy::prequal::{Prequal, PrequalConfig, Report};

/// Picks by probes: see [`prequal`](crate::policy::prequal).
///
/// With each request a few probes become due. [`Probes`] returns the endpoints to probe and takes the results;
/// [`Probes::run`] sends the probes.
#[derive(Debug)]
pub struct PrequalPicker {
    shared: Arc<Mutex<Shared>>,
}

/// The probes that are due, and the results of former ones.
#[derive(Debug)]
pub struct Probes {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    /// Identifies endpoints by their index in `members`.
    prequal: Prequal,
    rng: SplitMix,
    members: Vec<Member>,
    /// Indices in `members` by endpoint number, and by ticket.
    by_id: HashMap<usize, usize>,
    by_ticket: HashMap<usize, usize>,
    next_ticket: usize,
    /// The tickets of the probes that are due.
    due: VecDeque<usize>,
    waker: Option<Waker>,
    /// The picker was dropped.
    closed: bool,
}

#[derive(Debug)]
struct Member {
    id: usize,
    name: Arc<str>,
    /// Never reused, so that a late result is not attributed to another endpoint.
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

    /// Like [`new`](Self::new), with the given generator for how often a result is used, so that simulations are
    /// reproducible.
    ///
    /// # Errors
    ///
    /// If a setting of `config` is out of range.
    pub fn with_rng(config: PrequalConfig, rng: SplitMix) -> Result<(Self, Probes), InvalidPolicy> {
        let shared = Arc::new(Mutex::new(Shared {
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
            shared: Arc::clone(&shared),
        };
        Ok((Self { shared }, probes))
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
        let mut shared = lock(&self.shared);
        let waker = shared.add_due(cx);
        let index = shared.pick(endpoints, now, cx);
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
        index.or_else(|| Some(cx.next_range(0..ready) as usize))
    }

    fn inserted(&mut self, endpoints: &E, id: usize) {
        if let Some((name, _)) = endpoints.name(id) {
            lock(&self.shared).insert(id, name.into());
        }
    }

    fn removed(&mut self, id: usize) {
        lock(&self.shared).remove(id);
    }
}

impl Drop for PrequalPicker {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        shared.closed = true;
        let waker = shared.waker.take();
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Shared {
    /// Picks the best ready endpoint. The results of those that are not ready are discarded.
    fn pick<E: Endpoints>(
        &mut self,
        endpoints: &E,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Option<usize> {
        for _ in 0..MOST_TRIES {
            let place = self.prequal.pick(now, rng)?;
            match endpoints.index_of(self.members[place].id) {
                Some(index) => return Some(index),
                None => self.prequal.forget(place),
            }
        }
        None
    }

    /// This number now belongs to a new endpoint.
    fn insert(&mut self, id: usize, name: Arc<str>) {
        self.remove(id);
        let (ticket, place) = (self.next_ticket, self.members.len());
        self.next_ticket += 1;
        self.members.push(Member { id, name, ticket });
        self.by_id.insert(id, place);
        self.by_ticket.insert(ticket, place);
        self.prequal.set_endpoints(self.members.len());
    }

    fn remove(&mut self, id: usize) {
        let Some(place) = self.by_id.remove(&id) else {
            return;
        };
        let removed = self.members.swap_remove(place);
        self.by_ticket.remove(&removed.ticket);
        self.prequal.forget(place);
        // The last member moves to this index. Its result, under its old index, is discarded.
        if let Some(moved) = self.members.get(place) {
            self.by_id.insert(moved.id, place);
            self.by_ticket.insert(moved.ticket, place);
        }
        self.prequal.set_endpoints(self.members.len());
    }

    /// Adds the probes that are due with another request. Returns the waker of the task that waits for them.
    fn add_due(&mut self, rng: &mut impl Rng) -> Option<Waker> {
        for &place in self.prequal.probes(rng) {
            // If no task sends the probes, the newest are kept.
            if self.due.len() == MOST_DUE {
                self.due.pop_front();
            }
            self.due.push_back(self.members[place].ticket);
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
        let mut shared = lock(&self.shared);
        while let Some(ticket) = shared.due.pop_front() {
            if let Some(&place) = shared.by_ticket.get(&ticket) {
                return Some((ticket, Arc::clone(&shared.members[place].name)));
            }
        }
        None
    }

    /// Waits for [`next_due`](Self::next_due); returns `None` when the picker was dropped. Only the last task to poll
    /// is woken.
    pub fn poll_due(&self, cx: &mut Context<'_>) -> Poll<Option<(usize, Arc<str>)>> {
        // Registered first, so that a probe that becomes due after the check wakes the task.
        let closed = self.poll_closed(cx).is_ready();
        match self.next_due() {
            Some(due) => Poll::Ready(Some(due)),
            None if closed => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    /// Waits until the picker was dropped; the task is also woken when a probe is due.
    pub(super) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut shared = lock(&self.shared);
        if shared.closed {
            return Poll::Ready(());
        }
        let outdated = shared.waker.replace(cx.waker().clone());
        drop(shared);
        drop(outdated);
        Poll::Pending
    }

    /// Records the result of a probe; its endpoint is the number from [`next_due`](Self::next_due).
    pub fn report(&self, report: Report, now: Instant) {
        let mut shared = lock(&self.shared);
        let Shared {
            prequal,
            rng,
            by_ticket,
            ..
        } = &mut *shared;
        if let Some(&endpoint) = by_ticket.get(&report.endpoint) {
            prequal.report(Report { endpoint, ..report }, now, rng);
        }
    }
}

/// The maximum number of probes that wait to be sent; each is useful for at most a second.
const MOST_DUE: usize = 64;
/// As many as there are results.
const MOST_TRIES: usize = 16;

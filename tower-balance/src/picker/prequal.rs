use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;
use tower_util::rng::{Rng, SplitMix};

use super::{Endpoints, Named, PickContext, Picker};
use crate::lock::lock;
use crate::policy::InvalidPolicy;
use crate::policy::prequal::{Prequal, PrequalConfig, Report};

/// The choice by probes: see [`prequal`](crate::policy::prequal).
///
/// With each request a few probes become due. [`Probes`] says whom to ask, and takes the answers; [`Probes::run`] sends them.
#[derive(Debug)]
pub struct PrequalPicker {
    shared: Arc<Mutex<Shared>>,
}

/// Which endpoints are to be probed, and what they have answered.
#[derive(Debug)]
pub struct Probes {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    /// Knows the endpoints by their place in `members`.
    prequal: Prequal,
    rng: SplitMix,
    members: Vec<Member>,
    /// The places of the balancer's numbers, and of the tickets.
    by_id: HashMap<usize, usize>,
    by_ticket: HashMap<usize, usize>,
    next_ticket: usize,
    /// Tickets.
    due: VecDeque<usize>,
    waker: Option<Waker>,
    /// The picker is gone.
    closed: bool,
}

#[derive(Debug)]
struct Member {
    id: usize,
    name: Arc<str>,
    /// Never used again: an answer that comes too late is nobody else's.
    ticket: usize,
}

impl PrequalPicker {
    /// The picker, and its probes.
    ///
    /// # Errors
    ///
    /// If a number of `config` is out of its range.
    pub fn new(config: PrequalConfig) -> Result<(Self, Probes), InvalidPolicy> {
        Self::with_rng(config, SplitMix::new())
    }

    /// The same, with the given randomness for how often an answer is used: that a simulation can be repeated.
    ///
    /// # Errors
    ///
    /// If a number of `config` is out of its range.
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
    const TRACKS: bool = true;

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
    /// The index of the best that is ready. What those that are not have answered is forgotten.
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

    /// Another one has this number from now on.
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
        // The last one takes its place. What it has answered goes with its old one.
        if let Some(moved) = self.members.get(place) {
            self.by_id.insert(moved.id, place);
            self.by_ticket.insert(moved.ticket, place);
        }
        self.prequal.set_endpoints(self.members.len());
    }

    /// Another request has come: some probes are due. Who waits for them is to be woken.
    fn add_due(&mut self, rng: &mut impl Rng) -> Option<Waker> {
        for &place in self.prequal.probes(rng) {
            // Of those that nobody sends, the newest remain.
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
    /// An endpoint that is to be probed now, if there is one: a number for its [`report`](Self::report), and its name.
    pub fn next_due(&self) -> Option<(usize, Arc<str>)> {
        let mut shared = lock(&self.shared);
        while let Some(ticket) = shared.due.pop_front() {
            if let Some(&place) = shared.by_ticket.get(&ticket) {
                return Some((ticket, Arc::clone(&shared.members[place].name)));
            }
        }
        None
    }

    /// Waits for [`next_due`](Self::next_due); `None` when the picker is gone. The task that asked last is woken.
    pub fn poll_due(&self, cx: &mut Context<'_>) -> Poll<Option<(usize, Arc<str>)>> {
        // Before the look, so that what comes after it wakes the task.
        let closed = self.poll_closed(cx).is_ready();
        match self.next_due() {
            Some(due) => Poll::Ready(Some(due)),
            None if closed => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    /// Waits until the picker is gone; also woken when a probe is due.
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

    /// What an endpoint has answered; its number is the one of [`next_due`](Self::next_due).
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

/// So many probes wait to be sent; they are of use for a second at most.
const MOST_DUE: usize = 64;
/// As many as there are answers.
const MOST_TRIES: usize = 16;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tower_util::rng::{Rng, SplitMix};

use super::{Named, PickContext, Picker};
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
#[derive(Clone, Debug)]
pub struct Probes {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    prequal: Prequal,
    rng: SplitMix,
    /// The endpoints by number.
    names: Vec<Option<Arc<str>>>,
    due: VecDeque<usize>,
    waker: Option<Waker>,
    /// The picker is gone.
    closed: bool,
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
            names: Vec::new(),
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
        let picked = shared.prequal.pick(now, cx);
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
        let index = picked.and_then(|id| endpoints.index_of(id));
        index.or_else(|| Some(cx.next_range(0..ready) as usize))
    }

    fn inserted(&mut self, endpoints: &E, id: usize) {
        let Some((name, _)) = endpoints.name(id) else {
            return;
        };
        let mut shared = lock(&self.shared);
        if shared.names.len() <= id {
            shared.names.resize(id + 1, None);
        }
        shared.names[id] = Some(name.into());
        let count = shared.names.len();
        shared.prequal.set_endpoints(count);
    }

    fn removed(&mut self, id: usize) {
        let mut shared = lock(&self.shared);
        shared.prequal.forget(id);
        if let Some(name) = shared.names.get_mut(id) {
            *name = None;
        }
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
    /// Another request has come: some probes are due. Who waits for them is to be woken.
    fn add_due(&mut self, rng: &mut impl Rng) -> Option<Waker> {
        for &id in self.prequal.probes(rng) {
            // Numbers that nobody has are not probed. Of those that nobody sends, the newest remain.
            if self.names.get(id).is_some_and(Option::is_some) {
                if self.due.len() == MOST_DUE {
                    self.due.pop_front();
                }
                self.due.push_back(id);
            }
        }
        if self.due.is_empty() {
            None
        } else {
            self.waker.take()
        }
    }
}

impl Probes {
    /// The number and the name of an endpoint that is to be probed now, if there is one.
    pub fn next_due(&self) -> Option<(usize, Arc<str>)> {
        let mut shared = lock(&self.shared);
        while let Some(id) = shared.due.pop_front() {
            if let Some(name) = shared.names.get(id).cloned().flatten() {
                return Some((id, name));
            }
        }
        None
    }

    /// Waits for [`next_due`](Self::next_due); `None` when the picker is gone.
    pub fn poll_due(&self, cx: &mut Context<'_>) -> Poll<Option<(usize, Arc<str>)>> {
        if let Some(due) = self.next_due() {
            return Poll::Ready(Some(due));
        }
        let mut shared = lock(&self.shared);
        if shared.closed {
            return Poll::Ready(None);
        }
        if !shared.due.is_empty() {
            cx.waker().wake_by_ref();
        }
        shared.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// What an endpoint has answered.
    pub fn report(&self, report: Report, now: tokio::time::Instant) {
        let mut shared = lock(&self.shared);
        let Shared { prequal, rng, .. } = &mut *shared;
        prequal.report(report, now, rng);
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// So many probes wait to be sent; they are of use for a second at most.
const MOST_DUE: usize = 64;

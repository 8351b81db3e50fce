//! The queue itself: who has a place, who waits for one, and the requests in their order. No lock, no task: wakers and
//! requests that are done with are given to the caller, who wakes and drops them when he has let go of the lock.

use std::collections::{BTreeMap, BTreeSet};
use std::task::Waker;

use tracing::Span;

use crate::error::Failure;

/// What a handle has.
#[derive(Debug)]
pub(crate) enum Place {
    None,
    /// Waits, with this number.
    Waiting(u64),
    Reserved,
}

#[derive(Debug)]
pub(crate) struct Queue<Req, F> {
    /// Places that nobody has. Not zero only while nobody waits.
    free: usize,
    /// Places beyond the bound, given out because all others were with handles that did nothing with them.
    lent: usize,
    waiting: BTreeMap<u64, Waker>,
    /// Those who waited and were given a place that they have not fetched yet.
    granted: BTreeSet<u64>,
    next_number: u64,

    slots: Vec<Slot<Req, F>>,
    vacant: Option<usize>,
    first: Option<usize>,
    last: Option<usize>,
    /// The first request, if the worker has it in hand while the service is not ready: it takes no place.
    in_hand: Option<usize>,
}

#[derive(Debug)]
enum Slot<Req, F> {
    Vacant {
        next: Option<usize>,
    },
    /// In the queue, which is a list that is linked both ways, so that a request can leave it anywhere.
    Queued {
        job: Job<Req>,
        waker: Option<Waker>,
        before: Option<usize>,
        after: Option<usize>,
    },
    /// The worker has the request.
    Taken {
        waker: Option<Waker>,
    },
    /// The worker has the request, and nobody waits for the response.
    Forgotten,
    Replied(Result<F, Failure>),
}

/// A request, and the span in which it was made.
#[derive(Debug)]
pub(crate) struct Job<Req> {
    pub(crate) request: Req,
    pub(crate) span: Span,
}

impl<Req, F> Queue<Req, F> {
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            free: bound,
            lent: 0,
            waiting: BTreeMap::new(),
            granted: BTreeSet::new(),
            next_number: 0,
            slots: Vec::new(),
            vacant: None,
            first: None,
            last: None,
            in_hand: None,
        }
    }

    /// Whether the handle has a place now; otherwise it waits with the waker.
    pub(crate) fn reserve(&mut self, place: &mut Place, waker: &Waker) -> bool {
        match *place {
            Place::Reserved => return true,
            Place::Waiting(number) if self.granted.remove(&number) => *place = Place::Reserved,
            Place::None if self.free > 0 => {
                self.free -= 1;
                *place = Place::Reserved;
            }
            Place::None => {
                self.waiting.insert(self.next_number, waker.clone());
                *place = Place::Waiting(self.next_number);
                self.next_number += 1;
            }
            Place::Waiting(number) => {
                self.waiting
                    .entry(number)
                    .and_modify(|known| known.clone_from(waker));
            }
        }
        matches!(place, Place::Reserved)
    }

    /// Takes back what a handle has. Yields whom to wake.
    pub(crate) fn give_back(&mut self, place: &Place) -> Option<Waker> {
        match place {
            Place::None => None,
            Place::Reserved => self.free_place(),
            Place::Waiting(number) if self.granted.remove(number) => self.free_place(),
            Place::Waiting(number) => {
                self.waiting.remove(number);
                None
            }
        }
    }

    /// Whether all places are with handles that have sent nothing, and another one waits.
    pub(crate) fn is_blocked(&self) -> bool {
        self.is_empty() && !self.waiting.is_empty()
    }

    /// Gives a place beyond the bound to the first who waits. Yields whom to wake.
    pub(crate) fn lend(&mut self) -> Option<Waker> {
        let (number, waker) = self.waiting.pop_first()?;
        self.granted.insert(number);
        self.lent += 1;
        Some(waker)
    }

    fn free_place(&mut self) -> Option<Waker> {
        if self.lent > 0 {
            self.lent -= 1;
            return None;
        }
        match self.waiting.pop_first() {
            Some((number, waker)) => {
                self.granted.insert(number);
                Some(waker)
            }
            None => {
                self.free += 1;
                None
            }
        }
    }

    /// Puts a request into the reserved place.
    pub(crate) fn push(&mut self, job: Job<Req>) -> usize {
        let slot = Slot::Queued {
            job,
            waker: None,
            before: self.last,
            after: None,
        };
        let key = match self.vacant {
            Some(key) => {
                let Slot::Vacant { next } = std::mem::replace(&mut self.slots[key], slot) else {
                    unreachable!("the list of vacant slots leads to an occupied one")
                };
                self.vacant = next;
                key
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        match self.last.replace(key) {
            Some(last) => *self.after(last) = Some(key),
            None => self.first = Some(key),
        }
        key
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The span of the first request.
    pub(crate) fn first_span(&self) -> Option<&Span> {
        match &self.slots[self.first?] {
            Slot::Queued { job, .. } => Some(&job.span),
            _ => unreachable!("the first is queued"),
        }
    }

    /// The worker has the first request in hand, which frees its place. Yields whom to wake.
    pub(crate) fn take_in_hand(&mut self) -> Option<Waker> {
        let first = self.first?;
        if self.in_hand.is_some() {
            return None;
        }
        self.in_hand = Some(first);
        self.free_place()
    }

    /// Takes the first request. Yields whom to wake, too, if that frees a place.
    pub(crate) fn pop(&mut self) -> Option<(usize, Job<Req>, Option<Waker>)> {
        let key = self.first?;
        let (job, waker) = self.unlink(key);
        self.slots[key] = Slot::Taken { waker };
        let freed = if self.in_hand.take().is_some() {
            None
        } else {
            self.free_place()
        };
        Some((key, job, freed))
    }

    /// Takes the request out of the list. Its slot is for the caller to fill.
    fn unlink(&mut self, key: usize) -> (Job<Req>, Option<Waker>) {
        let Slot::Queued {
            job,
            waker,
            before,
            after,
        } = std::mem::replace(&mut self.slots[key], Slot::Forgotten)
        else {
            unreachable!("only what is queued is unlinked")
        };
        match before {
            Some(before) => *self.after(before) = after,
            None => self.first = after,
        }
        match after {
            Some(after) => *self.before(after) = before,
            None => self.last = before,
        }
        (job, waker)
    }

    fn after(&mut self, key: usize) -> &mut Option<usize> {
        let Slot::Queued { after, .. } = &mut self.slots[key] else {
            unreachable!("neighbours are queued")
        };
        after
    }

    fn before(&mut self, key: usize) -> &mut Option<usize> {
        let Slot::Queued { before, .. } = &mut self.slots[key] else {
            unreachable!("neighbours are queued")
        };
        before
    }

    /// The worker's reply to a request it took. Yields whom to wake, or the reply if nobody waits for it.
    pub(crate) fn reply(
        &mut self,
        key: usize,
        reply: Result<F, Failure>,
    ) -> Result<Option<Waker>, Result<F, Failure>> {
        match std::mem::replace(&mut self.slots[key], Slot::Forgotten) {
            Slot::Taken { waker } => {
                self.slots[key] = Slot::Replied(reply);
                Ok(waker)
            }
            _ => {
                self.vacate(key);
                Err(reply)
            }
        }
    }

    /// The reply, if there is one; otherwise the waker is kept.
    pub(crate) fn take_reply(
        &mut self,
        key: usize,
        new_waker: &Waker,
    ) -> Option<Result<F, Failure>> {
        match &mut self.slots[key] {
            Slot::Queued { waker, .. } | Slot::Taken { waker } => {
                match waker {
                    Some(waker) => waker.clone_from(new_waker),
                    None => *waker = Some(new_waker.clone()),
                }
                None
            }
            slot => match std::mem::replace(slot, Slot::Forgotten) {
                Slot::Replied(reply) => Some(reply),
                _ => unreachable!("a slot belongs to one response future"),
            },
        }
    }

    /// Nobody waits for the response any more. Yields what is to be dropped, and whom to wake.
    pub(crate) fn forget(&mut self, key: usize) -> (Option<Dropped<Req, F>>, Option<Waker>) {
        match &mut self.slots[key] {
            Slot::Queued { .. } => {
                let (job, _) = self.unlink(key);
                self.vacate(key);
                let freed = if self.in_hand == Some(key) {
                    self.in_hand = None;
                    self.take_in_hand()
                } else {
                    self.free_place()
                };
                (Some(Dropped::Job(job)), freed)
            }
            slot @ Slot::Taken { .. } => {
                *slot = Slot::Forgotten;
                (None, None)
            }
            Slot::Vacant { .. } => {
                unreachable!("a slot belongs to its response future until that is dropped")
            }
            Slot::Forgotten | Slot::Replied(_) => (self.vacate(key).map(Dropped::Reply), None),
        }
    }

    fn vacate(&mut self, key: usize) -> Option<Result<F, Failure>> {
        let slot = std::mem::replace(&mut self.slots[key], Slot::Vacant { next: self.vacant });
        self.vacant = Some(key);
        match slot {
            Slot::Replied(reply) => Some(reply),
            _ => None,
        }
    }

    /// Everyone who waits for a place.
    pub(crate) fn take_waiting(&mut self) -> BTreeMap<u64, Waker> {
        std::mem::take(&mut self.waiting)
    }
}

/// What was kept for a response future that is gone. Dropping it may run anybody's code.
#[derive(Debug)]
pub(crate) enum Dropped<Req, F> {
    Job(Job<Req>),
    Reply(Result<F, Failure>),
}

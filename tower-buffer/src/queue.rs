//! The queue itself: the requests in their order, and the replies. No lock, no task: wakers and requests that are done with
//! are returned to the caller, which wakes and drops them after releasing the lock.

use std::task::Waker;

use slab::Slab;
use tower_readiness::trace::Span;

use crate::future::ResponseFuture;

#[derive(Debug)]
pub(crate) struct Queue<Req, F> {
    slots: Slab<Slot<Req, F>>,
    first: Option<usize>,
    last: Option<usize>,
    /// The first request, if the worker has it in hand while the service is not ready: it takes no place.
    in_hand: Option<usize>,
}

#[derive(Debug)]
enum Slot<Req, F> {
    /// In the queue, which is a list that is linked both ways, so that a request can leave it anywhere.
    Queued {
        job: Job<Req>,
        waker: Option<Waker>,
        before: Option<usize>,
        after: Option<usize>,
    },
    /// The request is being called.
    Taken {
        waker: Option<Waker>,
    },
    /// The request is being called, and its response future is gone.
    Forgotten,
    Replied(ResponseFuture<F>),
}

/// A request, and the span in which it was made.
#[derive(Debug)]
pub(crate) struct Job<Req> {
    pub(crate) request: Req,
    pub(crate) span: Span,
}

impl<Req, F> Queue<Req, F> {
    pub(crate) const fn new() -> Self {
        Self {
            slots: Slab::new(),
            first: None,
            last: None,
            in_hand: None,
        }
    }

    /// Puts a request into the reserved place.
    pub(crate) fn push(&mut self, job: Job<Req>) -> usize {
        let key = self.slots.insert(Slot::Queued {
            job,
            waker: None,
            before: self.last,
            after: None,
        });
        match self.last.replace(key) {
            Some(last) => *self.after(last) = Some(key),
            None => self.first = Some(key),
        }
        key
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Puts a request that was taken back to the front, in hand, as the service is not ready for it. Yields the request if
    /// its response future is gone, and whether the first request has left its place for that.
    pub(crate) fn put_back(&mut self, key: usize, job: Job<Req>) -> (Option<Job<Req>>, bool) {
        let Slot::Taken { waker } = std::mem::replace(&mut self.slots[key], Slot::Forgotten) else {
            self.vacate(key);
            return (Some(job), self.take_in_hand());
        };
        self.slots[key] = Slot::Queued {
            job,
            waker,
            before: None,
            after: self.first,
        };
        match self.first.replace(key) {
            Some(first) => *self.before(first) = Some(key),
            None => self.last = Some(key),
        }
        self.in_hand = Some(key);
        (None, false)
    }

    /// The first request is in hand. Whether that frees its place.
    pub(crate) fn take_in_hand(&mut self) -> bool {
        let frees = self.in_hand.is_none() && self.first.is_some();
        if frees {
            self.in_hand = self.first;
        }
        frees
    }

    /// Takes the first request, and tells whether that frees its place.
    pub(crate) fn pop(&mut self) -> Option<(usize, Job<Req>, bool)> {
        let key = self.first?;
        let (job, waker) = self.unlink(key);
        self.slots[key] = Slot::Taken { waker };
        Some((key, job, self.in_hand.take().is_none()))
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

    /// Replies to a request that was taken. Returns the waker of the caller, or the reply if its response future is gone.
    pub(crate) fn reply(
        &mut self,
        key: usize,
        reply: ResponseFuture<F>,
    ) -> Result<Option<Waker>, ResponseFuture<F>> {
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
    ) -> Option<ResponseFuture<F>> {
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

    /// The response future is gone. Returns what is to be dropped, and whether that frees a place.
    pub(crate) fn forget(&mut self, key: usize) -> (Option<Dropped<Req, F>>, bool) {
        match &mut self.slots[key] {
            Slot::Queued { .. } => {
                let (job, _) = self.unlink(key);
                self.vacate(key);
                let freed = if self.in_hand == Some(key) {
                    // The next has its part, and leaves its place.
                    self.in_hand = None;
                    self.take_in_hand()
                } else {
                    true
                };
                (Some(Dropped::Job(job)), freed)
            }
            slot @ Slot::Taken { .. } => {
                *slot = Slot::Forgotten;
                (None, false)
            }
            Slot::Forgotten | Slot::Replied(_) => (self.vacate(key).map(Dropped::Reply), false),
        }
    }

    fn vacate(&mut self, key: usize) -> Option<ResponseFuture<F>> {
        match self.slots.remove(key) {
            Slot::Replied(reply) => Some(reply),
            _ => None,
        }
    }
}

/// What was kept for a response future that is gone. Dropping it may run any code.
#[derive(Debug)]
pub(crate) enum Dropped<Req, F> {
    Job(Job<Req>),
    Reply(ResponseFuture<F>),
}

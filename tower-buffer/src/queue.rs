//! The queue: the requests in their order, and the replies. It takes no lock and wakes no task: wakers, and values to drop,
//! are returned to the caller, which wakes or drops them after releasing the lock.

use std::task::Waker;

use slab::Slab;
use tower_readiness::trace::Span;

use crate::future::ResponseFuture;

#[derive(Debug)]
pub(crate) struct Queue<Req, F> {
    entries: Slab<Entry<Req, F>>,
    first: Option<usize>,
    last: Option<usize>,
    /// The first request, if it waits for the service to be ready: it occupies no slot.
    without_slot: Option<usize>,
}

#[derive(Debug)]
enum Entry<Req, F> {
    /// In the queue, which is a doubly linked list, so that a request can be removed anywhere.
    Queued {
        job: Job<Req>,
        waker: Option<Waker>,
        before: Option<usize>,
        after: Option<usize>,
    },
    /// The service is being called with the request.
    Taken {
        waker: Option<Waker>,
    },
    /// The service is being called with the request, and the response future has been dropped.
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
            entries: Slab::new(),
            first: None,
            last: None,
            without_slot: None,
        }
    }

    /// Adds a request at the end, in a slot that the caller has reserved. Returns its key.
    pub(crate) fn push(&mut self, job: Job<Req>) -> usize {
        let key = self.entries.insert(Entry::Queued {
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

    /// Puts a request back to the front, without a slot, as the service is not ready for it. Returns the request if its
    /// response future has been dropped, and whether the request that is now the first released its slot.
    pub(crate) fn put_back(&mut self, key: usize, job: Job<Req>) -> (Option<Job<Req>>, bool) {
        let Entry::Taken { waker } = std::mem::replace(&mut self.entries[key], Entry::Forgotten)
        else {
            self.vacate(key);
            return (Some(job), self.release_first_slot());
        };
        self.entries[key] = Entry::Queued {
            job,
            waker,
            before: None,
            after: self.first,
        };
        match self.first.replace(key) {
            Some(first) => *self.before(first) = Some(key),
            None => self.last = Some(key),
        }
        self.without_slot = Some(key);
        (None, false)
    }

    /// Releases the slot of the first request, which waits for the service to be ready. Returns `false` if it held none.
    pub(crate) fn release_first_slot(&mut self) -> bool {
        let released = self.without_slot.is_none() && self.first.is_some();
        if released {
            self.without_slot = self.first;
        }
        released
    }

    /// Takes the first request. Returns its key, the request, and whether its slot is to be released.
    pub(crate) fn pop(&mut self) -> Option<(usize, Job<Req>, bool)> {
        let key = self.first?;
        let (job, waker) = self.unlink(key);
        self.entries[key] = Entry::Taken { waker };
        Some((key, job, self.without_slot.take().is_none()))
    }

    /// Removes the request from the list. The caller must fill or remove its entry.
    fn unlink(&mut self, key: usize) -> (Job<Req>, Option<Waker>) {
        let Entry::Queued {
            job,
            waker,
            before,
            after,
        } = std::mem::replace(&mut self.entries[key], Entry::Forgotten)
        else {
            unreachable!("only queued requests are unlinked")
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
        let Entry::Queued { after, .. } = &mut self.entries[key] else {
            unreachable!("neighbours are queued")
        };
        after
    }

    fn before(&mut self, key: usize) -> &mut Option<usize> {
        let Entry::Queued { before, .. } = &mut self.entries[key] else {
            unreachable!("neighbours are queued")
        };
        before
    }

    /// Stores the reply to a request that was taken. Returns the caller's waker, or the reply if the response future has been
    /// dropped.
    pub(crate) fn reply(
        &mut self,
        key: usize,
        reply: ResponseFuture<F>,
    ) -> Result<Option<Waker>, ResponseFuture<F>> {
        match std::mem::replace(&mut self.entries[key], Entry::Forgotten) {
            Entry::Taken { waker } => {
                self.entries[key] = Entry::Replied(reply);
                Ok(waker)
            }
            _ => {
                self.vacate(key);
                Err(reply)
            }
        }
    }

    /// Returns the reply if there is one; otherwise registers the waker.
    pub(crate) fn take_reply(
        &mut self,
        key: usize,
        new_waker: &Waker,
    ) -> Option<ResponseFuture<F>> {
        match &mut self.entries[key] {
            Entry::Queued { waker, .. } | Entry::Taken { waker } => {
                match waker {
                    Some(waker) => waker.clone_from(new_waker),
                    None => *waker = Some(new_waker.clone()),
                }
                None
            }
            entry => match std::mem::replace(entry, Entry::Forgotten) {
                Entry::Replied(reply) => Some(reply),
                _ => unreachable!("an entry belongs to one response future"),
            },
        }
    }

    /// Removes the request of a response future that has been dropped. Returns the value to drop, and whether a slot is to be
    /// released.
    pub(crate) fn forget(&mut self, key: usize) -> (Option<Dropped<Req, F>>, bool) {
        match &mut self.entries[key] {
            Entry::Queued { .. } => {
                let (job, _) = self.unlink(key);
                self.vacate(key);
                let released = if self.without_slot == Some(key) {
                    // The next request is the first now, and releases its slot.
                    self.without_slot = None;
                    self.release_first_slot()
                } else {
                    true
                };
                (Some(Dropped::Job(job)), released)
            }
            entry @ Entry::Taken { .. } => {
                *entry = Entry::Forgotten;
                (None, false)
            }
            Entry::Forgotten | Entry::Replied(_) => (self.vacate(key).map(Dropped::Reply), false),
        }
    }

    fn vacate(&mut self, key: usize) -> Option<ResponseFuture<F>> {
        match self.entries.remove(key) {
            Entry::Replied(reply) => Some(reply),
            _ => None,
        }
    }
}

/// A request or a reply whose response future has been dropped. Dropping it may run any code.
#[derive(Debug)]
pub(crate) enum Dropped<Req, F> {
    Job(Job<Req>),
    Reply(ResponseFuture<F>),
}

//! The requests of a batch that may be sent without the lock and the clock.

use crate::sync::{AtomicU64, Ordering};

/// The tickets that are left of the open batch. Alone in its cache lines, as all handles of the limit write it.
///
/// All orderings are relaxed: no other data is published with this word, and a handle that finds no ticket locks the window.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Tickets {
    /// The number of the batch in the upper 48 bits, below it [`NONE`] plus the number of tickets. Threads that found no ticket
    /// and have not locked the window yet have subtracted from `NONE`: only with more than 32,768 such threads would that borrow
    /// from the number of the batch.
    word: AtomicU64,
}

/// One of the requests of a batch, or a token of a bucket.
#[derive(Debug)]
pub(super) struct Reservation {
    /// The number of the batch. With a bucket: how often it had been full.
    pub(super) batch: u64,
}

impl Tickets {
    /// Creates an empty set of tickets.
    pub(super) fn new() -> Self {
        Self {
            word: AtomicU64::new(NONE),
        }
    }

    /// Takes a ticket: one subtraction, whether there is one or not. On `None`, the caller must lock the
    /// [`Window`](super::window::Window), which [issues](Self::issue) new tickets or returns when there may be some.
    #[inline]
    pub(super) fn take(&self) -> Option<Reservation> {
        let before = self.word.fetch_sub(1, Ordering::Relaxed);
        (before & COUNT > NONE).then_some(Reservation {
            batch: before >> COUNT_BITS,
        })
    }

    /// Issues the tickets of batch number `batch`. The window must be locked, and no ticket left.
    pub(super) fn issue(&self, batch: u64, tickets: u64) {
        // Resets the count of failed takes; those threads will find these tickets when they have locked the window.
        let word = batch << COUNT_BITS | (NONE + tickets);
        // A store would be enough, but loom's model may order an earlier subtraction after a store as well.
        self.word.swap(word, Ordering::Relaxed);
    }

    /// Returns an unused ticket of the open batch. The window must be locked.
    pub(super) fn take_back(&self) {
        let mut current = self.word.load(Ordering::Relaxed);
        loop {
            let tickets = (current & COUNT).max(NONE) + 1;
            let next = current & !COUNT | tickets;
            let exchanged = self.word.compare_exchange_weak(
                current,
                next,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match exchanged {
                Ok(_) => return,
                Err(other) => current = other,
            }
        }
    }
}

const COUNT_BITS: u32 = 16;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
const NONE: u64 = 1 << 15;

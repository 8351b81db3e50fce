//! The requests of a batch that may be let through without the lock and the clock.

use crate::sync::{AtomicU64, Ordering};

/// What is left of the tickets of the open batch. Alone in its cache lines: all who use the limit write it.
///
/// The orderings are all relaxed: the word says all that there is to know, and who finds no ticket takes the lock of the
/// window.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Tickets {
    /// In the upper 48 bits the number of the batch, below it [`NONE`] and the number of tickets. It is less than `NONE` by
    /// those who came in vain and have not locked the window yet: there would have to be 32,768 threads for it to borrow.
    word: AtomicU64,
}

/// One of the requests of a batch.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) batch: u64,
}

impl Tickets {
    /// None.
    pub(super) fn new() -> Self {
        Self {
            word: AtomicU64::new(NONE),
        }
    }

    /// One addition whether there is a ticket or not. Who gets none must ask the [`Window`](super::window::Window), which
    /// [issues](Self::issue) others or says that there are none.
    #[inline]
    pub(super) fn take(&self) -> Option<Taken> {
        let before = self.word.fetch_sub(1, Ordering::Relaxed);
        (before & COUNT > NONE).then_some(Taken {
            batch: before >> COUNT_BITS,
        })
    }

    /// Tickets of the batch of this number. With the window locked, and after it was found that none is left.
    pub(super) fn issue(&self, batch: u64, tickets: u64) {
        // Who came in vain, and is not in the window yet, finds these.
        let word = batch << COUNT_BITS | (NONE + tickets);
        // A store would do; but loom lets an addition that came before it come after it too.
        self.word.swap(word, Ordering::Relaxed);
    }

    /// A ticket of the open batch is not used. With the window locked.
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

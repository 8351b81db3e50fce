//! Requests in flight, and the ledger that learns how each of them has ended.

use std::sync::Arc;
use std::thread::panicking;

use tokio::time::Instant;
use tower_classify::Class;

/// Counts results of requests. Sealed.
#[allow(unreachable_pub, unnameable_types, reason = "sealed")]
pub trait Ledger {
    /// What is known of a request that has begun.
    type Ticket;

    /// Returns whether it must be known how long requests take.
    fn measures_time(&self) -> bool;

    /// Called once for each ticket. `began` is `None` if it does not matter how long the request took.
    fn end(&self, ticket: Self::Ticket, class: Class, began: Option<Instant>);
}

/// The ledger that all clones of a service share, and the classification, with a reference count for the requests of
/// this clone, so that those of different clones do not contend for one count.
///
/// A clone allocates its own count with its second request, so that a clone that is used for one request does not
/// allocate.
pub(crate) struct Calls<L, C> {
    entry: Arc<Entry<L, C>>,
    /// The number of requests, up to [`OWN_COUNT_FROM`].
    used: u8,
}

/// Aligned to its own cache lines, because each request writes its reference count.
#[repr(align(128))]
struct Entry<L, C> {
    ledger: Arc<L>,
    classify: C,
}

/// A request in flight. It was cancelled if this is dropped without a call of [`end`](Self::end).
pub(crate) struct InFlight<L: Ledger, C> {
    entry: Arc<Entry<L, C>>,
    ticket: Option<L::Ticket>,
    /// `None` if times are not measured.
    began: Option<Instant>,
}

impl<L, C> Calls<L, C> {
    pub(crate) fn new(ledger: Arc<L>, classify: C) -> Self {
        Self {
            entry: Arc::new(Entry { ledger, classify }),
            used: 0,
        }
    }

    pub(crate) fn ledger(&self) -> &Arc<L> {
        &self.entry.ledger
    }
}

impl<L: Ledger, C: Clone> Calls<L, C> {
    #[inline]
    pub(crate) fn begin(&mut self, ticket: L::Ticket) -> InFlight<L, C> {
        if self.used != OWN_COUNT_FROM {
            self.allocate_own_count();
        }
        InFlight {
            began: self.entry.ledger.measures_time().then(Instant::now),
            entry: Arc::clone(&self.entry),
            ticket: Some(ticket),
        }
    }

    #[cold]
    fn allocate_own_count(&mut self) {
        self.used += 1;
        if self.used == OWN_COUNT_FROM {
            self.entry = Arc::new(Entry {
                ledger: Arc::clone(&self.entry.ledger),
                classify: self.entry.classify.clone(),
            });
        }
    }
}

impl<L: Ledger, C> InFlight<L, C> {
    pub(crate) fn classify(&self) -> &C {
        &self.entry.classify
    }

    #[inline]
    pub(crate) fn end(mut self, class: Class) {
        if let Some(ticket) = self.ticket.take() {
            self.entry.ledger.end(ticket, class, self.began);
        }
    }
}

impl<L: Ledger, C> Drop for InFlight<L, C> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            // A request that panics says nothing about the service's speed.
            let began = self.began.filter(|_| !panicking());
            self.entry.ledger.end(ticket, Class::Ignored, began);
        }
    }
}

/// The clone has begun no requests yet.
impl<L, C> Clone for Calls<L, C> {
    fn clone(&self) -> Self {
        Self {
            entry: Arc::clone(&self.entry),
            used: 0,
        }
    }
}

/// The request of a clone with which it allocates its own reference count.
const OWN_COUNT_FROM: u8 = 2;

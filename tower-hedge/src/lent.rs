//! References that a service lends to its requests.

use std::ops::Deref;
use std::sync::Arc;

use crate::shared::Shared;

/// What all clones of a service share, with a reference count for the requests of each clone: they do not contend with those of
/// the others.
///
/// A clone has its own count from its second request on, and allocates it: one that is made for one request does not allocate.
pub(crate) struct Lender {
    lent: Lent,
    /// How often it was lent, up to [`SETTLED`].
    used: u8,
}

/// Held by a request, and counted up and down by each.
pub(crate) struct Lent(Arc<Alone>);

/// Alone in its cache lines.
#[repr(align(128))]
struct Alone(Arc<Shared>);

impl Lender {
    pub(crate) fn new(shared: Shared) -> Self {
        let lent = Lent(Arc::new(Alone(Arc::new(shared))));
        Self { lent, used: 0 }
    }

    #[inline]
    pub(crate) fn lend(&mut self) -> Lent {
        if self.used != SETTLED {
            self.settle();
        }
        Lent(Arc::clone(&self.lent.0))
    }

    #[cold]
    fn settle(&mut self) {
        self.used += 1;
        if self.used == SETTLED {
            self.lent = Lent(Arc::new(Alone(Arc::clone(&self.lent.0.0))));
        }
    }
}

/// The clone has lent nothing yet.
impl Clone for Lender {
    fn clone(&self) -> Self {
        let lent = Lent(Arc::clone(&self.lent.0));
        Self { lent, used: 0 }
    }
}

impl Deref for Lender {
    type Target = Shared;

    #[inline]
    fn deref(&self) -> &Shared {
        &self.lent
    }
}

impl Deref for Lent {
    type Target = Shared;

    #[inline]
    fn deref(&self) -> &Shared {
        &self.0.0
    }
}

const SETTLED: u8 = 2;

//! References to the state that the clones of a service share, with a reference count for each clone.

use std::ops::Deref;
use std::sync::Arc;

use crate::shared::Shared;

/// The state that all clones of a service share, with a reference count for the requests of this clone, so that the
/// requests of different clones do not contend for one count.
///
/// A clone allocates its own count with its second request, so that a clone that is used for one request does not
/// allocate.
pub(crate) struct Lender {
    lent: Lent,
    /// The number of references handed out, up to [`OWN_COUNT_FROM`].
    used: u8,
}

/// A reference that is held by a request.
pub(crate) struct Lent(Arc<Alone>);

/// Aligned to its own cache lines, because each request writes its reference count.
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

/// The clone has handed out no references yet.
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

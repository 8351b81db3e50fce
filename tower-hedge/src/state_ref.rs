//! References to the state that the clones of a service share, with a reference count for each clone.

use std::ops::Deref;
use std::sync::Arc;

use crate::state::State;

/// The state that all clones of a service share, with a reference count for the requests of this clone, so that the
/// requests of different clones do not contend for one count.
///
/// A clone allocates its own count with its second request, so that a clone that is used for one request does not
/// allocate.
pub(crate) struct StateHandle {
    state_ref: StateRef,
    /// The number of references handed out, up to [`OWN_COUNT_FROM`].
    used: u8,
}

/// A reference that is held by a request.
pub(crate) struct StateRef(Arc<Aligned>);

/// Aligned to its own cache lines, because each request writes its reference count.
#[repr(align(128))]
struct Aligned(Arc<State>);

impl StateHandle {
    pub(crate) fn new(state: State) -> Self {
        let state_ref = StateRef(Arc::new(Aligned(Arc::new(state))));
        Self { state_ref, used: 0 }
    }

    /// Returns a reference for a request.
    #[inline]
    pub(crate) fn state_ref(&mut self) -> StateRef {
        if self.used != OWN_COUNT_FROM {
            self.allocate_own_count();
        }
        StateRef(Arc::clone(&self.state_ref.0))
    }

    #[cold]
    fn allocate_own_count(&mut self) {
        self.used += 1;
        if self.used == OWN_COUNT_FROM {
            self.state_ref = StateRef(Arc::new(Aligned(Arc::clone(&self.state_ref.0.0))));
        }
    }
}

/// The clone has handed out no references yet.
impl Clone for StateHandle {
    fn clone(&self) -> Self {
        let state_ref = StateRef(Arc::clone(&self.state_ref.0));
        Self { state_ref, used: 0 }
    }
}

impl Deref for StateHandle {
    type Target = State;

    #[inline]
    fn deref(&self) -> &State {
        &self.state_ref
    }
}

impl Deref for StateRef {
    type Target = State;

    #[inline]
    fn deref(&self) -> &State {
        &self.0.0
    }
}

/// The request of a clone with which it allocates its own reference count.
const OWN_COUNT_FROM: u8 = 2;

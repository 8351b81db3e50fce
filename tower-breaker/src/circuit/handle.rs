use std::sync::Arc;

use super::shared::Shared;
use crate::policy::{Circuit, State};

/// Shows the state of a breaker, and controls it.
///
/// # Clone
///
/// Clones refer to the same breaker.
#[derive(Clone, Debug)]
pub struct BreakerHandle(Arc<Shared>);

impl BreakerHandle {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    #[cfg(feature = "discover")]
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.0)
    }

    /// Returns whether the breaker lets requests through.
    pub fn state(&self) -> State {
        self.0.state()
    }

    /// Rejects all requests until [`reset`](Self::reset) or [`force_closed`](Self::force_closed).
    pub fn force_open(&self) {
        self.0.control(Circuit::force_open);
    }

    /// Lets all requests through, whatever their results, until [`reset`](Self::reset) or
    /// [`force_open`](Self::force_open).
    pub fn force_closed(&self) {
        self.0.control(Circuit::force_closed);
    }

    /// Closes the breaker and forgets its history. It opens by its rules again.
    pub fn reset(&self) {
        self.0.control(Circuit::reset);
    }
}

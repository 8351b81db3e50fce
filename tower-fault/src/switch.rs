use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Switches fault injection on and off at run time, for all services of the layers that it was given to. Clones are the same switch.
#[derive(Clone, Debug)]
pub struct Switch(Arc<AtomicBool>);

impl Switch {
    /// Creates a switch that is on.
    pub fn on() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// Creates a switch that is off.
    pub fn off() -> Self {
        Self(Arc::new(AtomicBool::new(false)))
    }

    /// Switches on or off. Requests that are being delayed already are not affected.
    pub fn set(&self, on: bool) {
        self.0.store(on, Relaxed);
    }

    /// Returns whether it is on.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.0.load(Relaxed)
    }
}

impl Default for Switch {
    fn default() -> Self {
        Self::on()
    }
}

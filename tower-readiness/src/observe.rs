use std::fmt;
use std::sync::Arc;

/// An event of a layer, named so that one function can count the events of all layers.
///
/// Each layer that drops, delays, repeats or rejects requests has its own type of event, with details, and passes references
/// to it to the closure of its `on_event`. A metric is named `tower_LAYER_KIND_total`, for instance
/// `tower_hedge_sent_total`; an event of `tracing` has the module of the layer as its target.
///
/// ```
/// use tower_readiness::LayerEvent;
///
/// fn metric<E: LayerEvent>(event: &E) -> String {
///     format!("tower_{}_{}_total", E::LAYER, event.kind())
/// }
///
/// enum Event {
///     Opened,
/// }
///
/// impl LayerEvent for Event {
///     const LAYER: &'static str = "breaker";
///
///     fn kind(&self) -> &'static str {
///         match self {
///             Self::Opened => "opened",
///         }
///     }
/// }
///
/// assert_eq!(metric(&Event::Opened), "tower_breaker_opened_total");
/// ```
pub trait LayerEvent {
    /// The layer, in lower case with underscores.
    const LAYER: &'static str;

    /// Returns what happened, in lower case with underscores. A layer has few kinds, which do not depend on its requests.
    fn kind(&self) -> &'static str;
}

/// The closure that a layer calls for each event, or none. Clones share it.
pub struct Observer<E: ?Sized>(Option<Arc<dyn Fn(&E) + Send + Sync>>);

impl<E: ?Sized> Observer<E> {
    /// Creates an observer that does nothing.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Creates an observer that calls `observe`.
    pub fn new(observe: impl Fn(&E) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(observe)))
    }

    /// Calls the closure, if there is one.
    #[inline]
    pub fn notify(&self, event: &E) {
        if let Some(observe) = &self.0 {
            observe(event);
        }
    }
}

impl<E: ?Sized> Clone for Observer<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: ?Sized> Default for Observer<E> {
    fn default() -> Self {
        Self::none()
    }
}

impl<E: ?Sized> fmt::Debug for Observer<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.0.is_some() { "set" } else { "none" };
        write!(f, "Observer({state})")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn clones_notify_the_same_closure() {
        let seen = Arc::new(AtomicU32::new(0));
        let sum = Arc::clone(&seen);
        let observer = Observer::new(move |n: &u32| {
            sum.fetch_add(*n, Ordering::Relaxed);
        });
        let clone = observer.clone();
        observer.notify(&1);
        clone.notify(&2);
        Observer::none().notify(&4);
        assert_eq!(seen.load(Ordering::Relaxed), 3);
    }
}

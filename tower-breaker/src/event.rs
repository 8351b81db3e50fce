use std::time::Duration;

use tower_readiness::LayerEvent;

/// An event of a circuit breaker, passed to the observer of
/// [`CircuitBreakerLayer::on_event`](crate::CircuitBreakerLayer::on_event).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The breaker has opened.
    Opened {
        /// The time until it may be probed; `None` if it was forced open.
        open_for: Option<Duration>,
        /// Why it has opened.
        cause: Cause,
    },
    /// The breaker is half-open: its time is over, and the first probe begins.
    HalfOpened,
    /// The breaker has closed.
    Closed,
    /// A request was rejected.
    Rejected {
        /// The time until the breaker may be probed, if it is known.
        retry_after: Option<Duration>,
    },
}

/// Why a breaker has opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Too many consecutive failures.
    ConsecutiveFailures,
    /// Too many of the requests in the window have failed.
    FailureRatio,
    /// Too many of the requests in the window were slow.
    SlowCalls,
    /// A probe has failed or was slow.
    Probe,
    /// A call of [`force_open`](crate::BreakerHandle::force_open).
    Forced,
}

/// An event of one of several breakers: of an endpoint, or of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEvent<K> {
    /// The endpoint, or the key.
    pub key: K,
    /// What happened.
    pub event: Event,
}

impl LayerEvent for Event {
    const LAYER: &'static str = "breaker";

    fn kind(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::HalfOpened => "half_opened",
            Self::Closed => "closed",
            Self::Rejected { .. } => "rejected",
        }
    }
}

impl<K> LayerEvent for KeyEvent<K> {
    const LAYER: &'static str = Event::LAYER;

    fn kind(&self) -> &'static str {
        self.event.kind()
    }
}

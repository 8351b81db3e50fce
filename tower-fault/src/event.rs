use std::time::Duration;

use tower_readiness::LayerEvent;

/// An injected fault, passed to the observer of the layer's `on_event`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A request is delayed.
    Delayed(Duration),
    /// A request fails.
    Failed,
    /// The body of a response will break off.
    BodyAborted,
}

impl LayerEvent for Event {
    const LAYER: &'static str = "fault";

    fn kind(&self) -> &'static str {
        match self {
            Self::Delayed(_) => "delayed",
            Self::Failed => "failed",
            Self::BodyAborted => "body_aborted",
        }
    }
}

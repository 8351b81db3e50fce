use tower_readiness::LayerEvent;

/// An event of a fallback, passed to the observer of [`FallbackLayer::on_event`](crate::FallbackLayer::on_event).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The inner service failed, and the fallback was asked.
    Used,
    /// The fallback failed as well.
    Failed,
}

impl LayerEvent for Event {
    const LAYER: &'static str = "fallback";

    fn kind(&self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Failed => "failed",
        }
    }
}

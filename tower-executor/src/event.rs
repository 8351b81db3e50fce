use tower_readiness::LayerEvent;

/// An event of an executor, passed to the observer of [`ExecutorLayer::on_event`](crate::ExecutorLayer::on_event).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A request was refused, because the queue is full.
    Refused,
    /// The service panicked.
    Panicked,
}

impl LayerEvent for Event {
    const LAYER: &'static str = "executor";

    fn kind(&self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Panicked => "panicked",
        }
    }
}

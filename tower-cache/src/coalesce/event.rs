use tower_readiness::LayerEvent;

/// An event of coalescing, passed to the observer of [`CoalesceLayer::on_event`](super::CoalesceLayer::on_event).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A request joined the call of an earlier one.
    Joined,
    /// A request was sent alone, because the maximum number of keys is in flight.
    Full,
}

impl LayerEvent for Event {
    const LAYER: &'static str = "coalesce";

    fn kind(&self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Full => "full",
        }
    }
}

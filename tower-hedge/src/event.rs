use tower_readiness::LayerEvent;

/// An event of hedging, passed to the observer of [`Builder::on_event`](crate::Builder::on_event).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A hedge was sent.
    Sent {
        /// The number of the attempt; the first attempt is 1.
        attempt: u32,
    },
    /// The budget did not allow a hedge.
    NoBudget,
    /// The policy did not allow the hedge when it was due.
    Refused,
    /// The response of an attempt other than the first has won.
    Won {
        /// The number of the attempt.
        attempt: u32,
    },
}

impl LayerEvent for Event {
    const LAYER: &'static str = "hedge";

    fn kind(&self) -> &'static str {
        match self {
            Self::Sent { .. } => "sent",
            Self::NoBudget => "no_budget",
            Self::Refused => "refused",
            Self::Won { .. } => "won",
        }
    }
}

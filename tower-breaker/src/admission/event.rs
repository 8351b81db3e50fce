use tower_readiness::LayerEvent;

/// An event of admission control, passed to the observer of
/// [`AdmissionLayer::on_event`](super::AdmissionLayer::on_event).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A request was rejected.
    Rejected {
        /// The probability with which it was rejected.
        probability: f64,
    },
}

impl LayerEvent for Event {
    const LAYER: &'static str = "admission";

    fn kind(&self) -> &'static str {
        match self {
            Self::Rejected { .. } => "rejected",
        }
    }
}

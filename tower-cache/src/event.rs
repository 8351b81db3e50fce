use tower_readiness::LayerEvent;

/// An event of a cache, passed to the observer of [`CacheLayer::on_event`](crate::CacheLayer::on_event).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The response was in the cache.
    Hit,
    /// The response was not in the cache, or it had expired.
    Miss,
    /// A response was evicted before it expired, because the cache is full.
    Evicted,
}

impl LayerEvent for Event {
    const LAYER: &'static str = "cache";

    fn kind(&self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Evicted => "evicted",
        }
    }
}

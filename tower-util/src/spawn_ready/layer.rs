use tower_layer::Layer;

use super::SpawnReady;

/// Wraps services in [`SpawnReady`].
#[derive(Debug, Clone, Default)]
pub struct SpawnReadyLayer(());

impl SpawnReadyLayer {
    /// Services get ready in tasks of their own.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S> Layer<S> for SpawnReadyLayer {
    type Service = SpawnReady<S>;

    fn layer(&self, inner: S) -> SpawnReady<S> {
        SpawnReady::new(inner)
    }
}

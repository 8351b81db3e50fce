use tower_layer::Layer;

use super::SpawnReady;

/// Wraps services in [`SpawnReady`].
#[derive(Debug, Clone, Default)]
pub struct SpawnReadyLayer(());

impl SpawnReadyLayer {
    /// Creates a layer that drives the readiness of each service in a background task.
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

use tower_layer::Layer;

use super::LoadShed;

/// Wraps services in [`LoadShed`].
#[derive(Debug, Clone, Default)]
pub struct LoadShedLayer(());

impl LoadShedLayer {
    /// Creates the layer.
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for LoadShedLayer {
    type Service = LoadShed<S>;

    fn layer(&self, service: S) -> LoadShed<S> {
        LoadShed::new(service)
    }
}

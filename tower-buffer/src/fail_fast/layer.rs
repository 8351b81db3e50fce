use std::time::Duration;

use tower_layer::Layer;

use super::FailFast;

/// Wraps services in [`FailFast`].
#[derive(Debug, Clone)]
pub struct FailFastLayer {
    max_wait: Duration,
}

impl FailFastLayer {
    /// Creates a layer: requests fail once the inner service has been pending for `max_wait`.
    pub const fn new(max_wait: Duration) -> Self {
        Self { max_wait }
    }
}

impl<S> Layer<S> for FailFastLayer {
    type Service = FailFast<S>;

    fn layer(&self, inner: S) -> FailFast<S> {
        FailFast::new(inner, self.max_wait)
    }
}

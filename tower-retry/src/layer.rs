use tower_layer::Layer;

use crate::Retry;

/// Wraps services in [`Retry`].
#[derive(Clone, Debug)]
pub struct RetryLayer<P> {
    policy: P,
}

impl<P> RetryLayer<P> {
    /// Creates a layer that retries requests according to `policy`.
    pub const fn new(policy: P) -> Self {
        Self { policy }
    }
}

impl<P: Clone, S> Layer<S> for RetryLayer<P> {
    type Service = Retry<P, S>;

    fn layer(&self, service: S) -> Retry<P, S> {
        Retry::new(self.policy.clone(), service)
    }
}

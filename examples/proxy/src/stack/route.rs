//! The parts of a route's stack, as it is configured.

use std::pin::Pin;

use tower::timeout::http::BodyTimeoutLayer;

use crate::config;
use crate::front::upload::UploadLimits;

/// The bounds of requests' bodies, which count from their arrival.
pub(super) fn uploads(config: &config::Route) -> UploadLimits {
    UploadLimits {
        idle: [config.upload_idle_timeout, config.idle_timeout]
            .into_iter()
            .flatten()
            .min(),
        grpc_idle: config.idle_timeout,
        total: config.body_timeout,
        buffer: config.limits.request_buffer_bytes,
    }
}

/// The bounds of responses' bodies.
pub(super) fn responses(config: &config::Route) -> BodyTimeoutLayer {
    let mut bodies = BodyTimeoutLayer::new().grpc_deadline();
    if let Some(idle) = config.idle_timeout {
        bodies = bodies.response_idle(idle);
    }
    if let Some(total) = config.body_timeout {
        bodies = bodies.response_total(total);
    }
    bodies
}

/// Moves a future to the heap: that of a layer that is off would have its room in those of the layers above as well.
pub(super) fn boxed<F: Future + Send + 'static>(
    future: F,
) -> Pin<Box<dyn Future<Output = F::Output> + Send>> {
    Box::pin(future)
}

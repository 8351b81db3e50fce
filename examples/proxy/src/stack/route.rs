//! The configured parts of a route's stack.

use std::pin::Pin;

use tower::timeout::http::BodyTimeoutLayer;

use crate::config;
use crate::front::upload::UploadLimits;

/// Returns the limits of request bodies, which apply while a body arrives.
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

/// Returns the layer that limits response bodies.
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

/// Boxes a future: otherwise even a layer that is off would reserve space for it in the futures of the outer layers.
pub(super) fn boxed<F: Future + Send + 'static>(
    future: F,
) -> Pin<Box<dyn Future<Output = F::Output> + Send>> {
    Box::pin(future)
}

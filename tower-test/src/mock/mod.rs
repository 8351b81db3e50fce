//! A service whose readiness, requests and responses are controlled by the test.

pub mod error;
pub mod future;
mod handle;
mod service;
pub mod spawn;
mod state;

use tower_layer::Layer;

pub use self::handle::{Handle, SendResponse};
pub use self::service::Mock;
pub use self::spawn::Spawn;
use self::state::Shared;

/// Returns a mock service and its handle. The service is ready until [`Handle::allow`] limits it.
pub fn pair<T, U>() -> (Mock<T, U>, Handle<T, U>) {
    let (requests, taken) = tokio::sync::mpsc::unbounded_channel();
    let shared = Shared::new();
    (
        Mock::new(requests, shared.clone()),
        Handle::new(taken, shared),
    )
}

/// Like [`pair`], with the service in a mock task.
pub fn spawn<T, U>() -> (Spawn<Mock<T, U>>, Handle<T, U>) {
    let (service, handle) = pair();
    (Spawn::new(service), handle)
}

/// Like [`spawn()`], with a layer around the service.
pub fn spawn_layer<T, U, L>(layer: L) -> (Spawn<L::Service>, Handle<T, U>)
where
    L: Layer<Mock<T, U>>,
{
    let (service, handle) = pair();
    (Spawn::new(layer.layer(service)), handle)
}

/// Like [`spawn()`], with the service wrapped by `wrap`.
pub fn spawn_with<T, U, F, S>(wrap: F) -> (Spawn<S>, Handle<T, U>)
where
    F: Fn(Mock<T, U>) -> S,
{
    let (service, handle) = pair();
    (Spawn::new(wrap(service)), handle)
}

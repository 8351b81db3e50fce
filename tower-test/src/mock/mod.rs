//! A service whose readiness, requests and answers are in the hands of the test.

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

/// A service and the handle that steers it. The service is ready until [`Handle::allow`] says otherwise.
pub fn pair<T, U>() -> (Mock<T, U>, Handle<T, U>) {
    let (requests, taken) = tokio::sync::mpsc::unbounded_channel();
    let shared = Shared::new();
    (
        Mock::new(requests, shared.clone()),
        Handle::new(taken, shared),
    )
}

/// [`pair`], with the service in a task of its own.
pub fn spawn<T, U>() -> (Spawn<Mock<T, U>>, Handle<T, U>) {
    let (service, handle) = pair();
    (Spawn::new(service), handle)
}

/// [`spawn()`] with a layer around the service.
pub fn spawn_layer<T, U, L>(layer: L) -> (Spawn<L::Service>, Handle<T, U>)
where
    L: Layer<Mock<T, U>>,
{
    let (service, handle) = pair();
    (Spawn::new(layer.layer(service)), handle)
}

/// [`spawn()`] with whatever `wrap` puts around the service.
pub fn spawn_with<T, U, F, S>(wrap: F) -> (Spawn<S>, Handle<T, U>)
where
    F: Fn(Mock<T, U>) -> S,
{
    let (service, handle) = pair();
    (Spawn::new(wrap(service)), handle)
}

mod handle;
mod layer;
mod service;
pub(crate) mod shared;
mod waiter;
mod waiters;

pub use self::handle::BreakerHandle;
pub use self::layer::CircuitBreakerLayer;
pub use self::service::CircuitBreaker;
#[cfg(feature = "discover")]
pub(crate) use self::{layer::Settings, service::Mode};

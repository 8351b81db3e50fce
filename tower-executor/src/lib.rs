//! Middleware that runs the requests of a service in tasks of their own: on another tokio runtime, or a bounded number of them at a
//! time.
//!
//! Use it for a service that computes for long between two awaits, so that it does not hold up the tasks that read and write
//! connections: give it a runtime of its own. With a bound, at most that many requests run at a time, a bounded number of others
//! waits in a queue, and further ones are refused. Do not use it for services that only wait: a task per request costs more than the
//! request. It does not make blocking code safe to call, unless the runtime is there for nothing else.
//!
//! # Example
//!
//! ```
//! # fn main() -> Result<(), tower_executor::BoxError> {
//! use std::convert::Infallible;
//! use std::thread;
//! use tower_executor::ExecutorLayer;
//! use tower_layer::Layer;
//! use tower_util::{ServiceExt, service_fn};
//!
//! let other = tokio::runtime::Builder::new_multi_thread()
//!     .worker_threads(1)
//!     .thread_name("heavy work")
//!     .build()?;
//! // 4 requests run at a time, and 64 wait.
//! let layer = ExecutorLayer::new(other.handle().clone()).max_tasks(4, 64)?;
//! let service = layer.layer(service_fn(|()| async {
//!     Ok::<_, Infallible>(thread::current().name() == Some("heavy work"))
//! }));
//!
//! let main = tokio::runtime::Builder::new_current_thread().build()?;
//! assert!(main.block_on(service.oneshot(()))?);
//! # Ok(())
//! # }
//! ```
//!
//! # Readiness
//!
//! That of the inner service. When a request is refused, what the inner service has reserved for it is released. A request that waits
//! in the queue has been passed to the inner service, and its response future is polled when its turn comes.
//!
//! # Cancellation
//!
//! Dropping the response future aborts the task, in the queue or at its next await. It is dropped on its own runtime, soon after.
//!
//! # Errors
//!
//! A [`BoxError`] with the error of the inner service, or with one of these:
//!
//! | error | |
//! |---|---|
//! | [`QueueFull`](error::QueueFull) | the request was refused |
//! | [`Panicked`](error::Panicked) | the service panicked in the task |
//! | [`Stopped`](error::Stopped) | the runtime was shut down |
//!
//! # Clone
//!
//! Clones, and all services of the layer and its clones, share the bound.
//!
//! # Cost
//!
//! A task per request, which is an allocation, and two wake-ups across threads. With a bound, also a semaphore of tokio and an atomic
//! counter.

pub mod error;
mod event;
pub mod future;
mod layer;
mod pool;
mod service;

#[doc(inline)]
pub use tower_readiness::BoxError;

pub use self::event::Event;
pub use self::layer::ExecutorLayer;
pub use self::service::Executor;

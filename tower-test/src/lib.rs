//! A mock service for testing Tower middleware: the test plays the service, one step at a time.
//!
//! [`mock::pair`] returns a [`mock::Mock`], the [`Service`](tower_service::Service) to put under the middleware, and a
//! [`mock::Handle`] with which the test controls the mock's readiness, receives its requests and sends responses. To
//! test the poll contract, [`mock::spawn_layer`] wraps the middleware in [`mock::Spawn`], which records wake-ups and
//! needs no runtime.
//!
//! # Example
//!
//! ```
//! use tokio_test::{assert_pending, assert_ready_ok, task};
//! use tower_layer::layer_fn;
//! use tower_test::{assert_request_eq, mock};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! type Mock = mock::Mock<&'static str, u32>;
//!
//! // In place of `layer_fn`, the layer under test.
//! let (mut service, mut handle) = mock::spawn_layer(layer_fn(|inner: Mock| inner));
//!
//! handle.allow(0);
//! assert_pending!(service.poll_ready());
//! handle.allow(1);
//! assert!(service.is_woken());
//! assert_ready_ok!(service.poll_ready());
//!
//! let mut response = task::spawn(service.call("what is six times seven?"));
//! assert_request_eq!(handle, "what is six times seven?").send_response(42);
//! assert_eq!(assert_ready_ok!(response.poll()), 42);
//! # }
//! ```

mod macros;
pub mod mock;

//! Faults in HTTP: statuses, bodies that break off, and faults that a request asks for in its headers.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_fault::InvalidFault> {
//! use std::convert::Infallible;
//! use std::time::Duration;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::{BodyExt, Full};
//! use tower_fault::Plan;
//! use tower_fault::http::HttpFaultLayer;
//! use tower_layer::Layer;
//! use tower_util::{ServiceExt, service_fn};
//!
//! let layer = HttpFaultLayer::new(Plan::new().fail(0.1)?)
//!     .status(StatusCode::BAD_GATEWAY)
//!     .abort_bodies(0.1, 1024)?
//!     .by_header(Duration::from_secs(5))
//!     .seed(7);
//! let service = layer.layer(service_fn(async |_: Request<()>| {
//!     Ok::<_, Infallible>(Response::new(Full::new(&b"hello, world"[..])))
//! }));
//!
//! let status = Request::builder().header("x-fault-status", "429").body(()).unwrap();
//! let response = service.clone().oneshot(status).await.unwrap();
//! assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
//!
//! let broken = Request::builder().header("x-fault-body-bytes", "5").body(()).unwrap();
//! let mut body = service.oneshot(broken).await.unwrap().into_body();
//! assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
//! assert!(body.frame().await.unwrap().is_err());
//! # Ok(())
//! # }
//! ```
//!
//! # Headers
//!
//! Only with [`by_header`](HttpFaultLayer::by_header), since whoever sends them decides about the service. They are added to the
//! faults of the plan, or replace them; a value that is not valid is ignored. They are not removed from the request.
//!
//! | header | value | |
//! |---|---|---|
//! | `x-fault-delay-ms` | milliseconds | delays the request, at most as long as `by_header` says |
//! | `x-fault-status` | from 200 to 599 | the response has this status and no body, and the request is not sent |
//! | `x-fault-body-bytes` | a number of bytes | the body breaks off after them |
//!
//! Everything else is as in the [crate's documentation](crate): readiness, delays, cancellation and the switch.
//!
//! # Errors
//!
//! A [`BoxError`](crate::BoxError) with the error of the inner service. A body that breaks off fails with
//! [`Injected`](crate::error::Injected).

mod body;
pub mod future;
mod headers;
mod layer;
mod service;

pub use self::body::FaultBody;
pub use self::layer::HttpFaultLayer;
pub use self::service::InjectHttpFault;

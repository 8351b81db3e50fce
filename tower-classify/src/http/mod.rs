//! Classification of HTTP requests and gRPC calls.
//!
//! [`HttpClassify`] classifies responses. The other items are its parts, for code that handles, forwards or logs such
//! requests: [gRPC status codes](Code), [`is_grpc`] and [`is_grpc_web`], [`retry_after`], [`pushback`] and
//! [`grpc_timeout`].
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use http::Response;
//! use tower_classify::http::HttpClassify;
//! use tower_classify::{Class, FailureKind, Pushback};
//!
//! let busy = Response::builder().status(503).header("retry-after", "5").body(()).unwrap();
//!
//! // Layers use an `HttpClassify` as a `Classify`. Without a layer:
//! let class = HttpClassify::new().head(false, busy.status(), busy.headers()).unwrap();
//! let Class::Failure(failure) = class else { panic!("{class:?}") };
//! assert_eq!(failure.kind(), FailureKind::Unavailable);
//! assert_eq!(failure.pushback(), Some(Pushback::After(Duration::from_secs(5))));
//! ```

mod classify;
mod code;
mod content_type;
mod field;
pub mod grpc_timeout;
mod pushback;
mod status_set;

pub use self::classify::{ClassifyError, HttpClassify};
pub use self::code::{Code, InvalidCode};
pub use self::content_type::{GrpcKind, grpc_kind, is_grpc, is_grpc_or_web, is_grpc_web};
pub use self::pushback::{pushback, retry_after};

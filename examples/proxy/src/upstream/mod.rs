//! An endpoint of a cluster: the connections to one address, which are reopened when they break.

mod checked;
mod connect;
mod connector;
mod dispatch;
mod error;
mod http1;
mod http2;
mod maintain;
mod sent;
mod settings;
mod track;

use bytes::Bytes;
use http_body::Body;
use tower::BoxError;

pub use self::connect::{Connect, Connection};
pub use self::connector::Connector;
pub use self::error::{ConnectError, UpstreamError};
pub use self::http1::Pool;
pub use self::http2::Multiplexed;
pub use self::sent::SentBody;
pub use self::track::{TrackBody, UpstreamBody};

/// The body of a request that can be sent to an endpoint. Implemented for every type that satisfies the bounds.
pub trait Payload: Body<Data = Bytes, Error = BoxError> + Unpin + Send + 'static {}

impl<B: Body<Data = Bytes, Error = BoxError> + Unpin + Send + 'static> Payload for B {}

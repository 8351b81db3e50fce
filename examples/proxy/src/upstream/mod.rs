//! An endpoint of a cluster: the connections to one address, which are reopened when they break.

mod checked;
mod connect;
mod connector;
mod dispatch;
mod error;
mod http1;
mod http2;
mod idle;
mod maintain;
mod payload;
mod sent;
mod settings;
mod track;

pub use self::connect::{Connect, Connection};
pub use self::connector::Connector;
pub use self::error::{ConnectError, UpstreamError};
pub use self::http1::Pool;
pub use self::http2::Multiplexed;
pub use self::payload::Payload;
pub use self::sent::SentBody;
pub use self::track::{OnEnd, TrackBody, UpstreamBody};

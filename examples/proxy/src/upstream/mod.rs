//! An endpoint of a cluster: connections to one address, made again by themselves when they break.

mod checked;
mod comeback;
mod connect;
mod error;
mod http1;
mod http2;
mod keeper;
mod observe;
mod settings;
mod track;

pub use self::comeback::Comebacks;
pub use self::connect::{Connect, Connection};
pub use self::error::{ConnectError, UpstreamError};
pub use self::http1::Pool;
pub use self::http2::Multiplexed;
pub use self::observe::Observe;
pub use self::track::{TrackBody, UpstreamBody};

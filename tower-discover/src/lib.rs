//! Service discovery: streams of endpoints that are added, replaced and removed.
//!
//! A load balancer polls a [`Discover`] for [`Change`]s. Any [`TryStream`](futures_core::TryStream) of changes is one,
//! so there is no trait to implement: map your own source of endpoints to a stream of changes. The crate has two
//! sources:
//!
//! - [`ServiceList`]: a fixed set of services.
//! - [`channel`], behind the feature `channel`: changes that another task sends, for example one that watches a file or a
//!   registry.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use futures::StreamExt;
//! use tower_discover::{Change, channel};
//!
//! let (changes, mut discover) = channel(16);
//! changes.insert("10.0.0.1:80", "a connection").await.unwrap();
//! changes.remove("10.0.0.1:80").await.unwrap();
//! drop(changes);
//!
//! assert!(matches!(discover.next().await, Some(Ok(Change::Insert("10.0.0.1:80", "a connection")))));
//! assert!(matches!(discover.next().await, Some(Ok(Change::Remove("10.0.0.1:80")))));
//! assert!(discover.next().await.is_none());
//! # }
//! ```
//!
//! # The end of a stream
//!
//! When the stream ends, the balancer keeps the endpoints it has: the end means that there are no more changes, not
//! that the endpoints are gone. After an error, the balancer keeps its endpoints and polls the stream again. A source
//! that cannot continue after an error must end its stream.

mod change;
#[cfg(feature = "channel")]
mod channel;
mod discover;
mod list;
#[cfg(feature = "paced")]
mod paced;

pub use self::change::Change;
#[cfg(feature = "channel")]
pub use self::channel::{ChannelDiscover, Sender, channel};
pub use self::discover::Discover;
pub use self::list::ServiceList;
#[cfg(feature = "paced")]
pub use self::paced::Paced;

/// The error of sending a change to a discovery that was dropped.
#[cfg(feature = "channel")]
pub mod error {
    pub use crate::channel::Closed;
}

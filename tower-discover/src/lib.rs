//! Sources of endpoints: streams that tell which services there are, and keep telling.
//!
//! A load balancer asks a [`Discover`] for [`Change`]s. Any [`TryStream`](futures_core::TryStream) of changes is one,
//! so there is nothing to implement: map whatever knows your endpoints to a stream. Two sources come with the crate:
//!
//! - [`ServiceList`]: a fixed set.
//! - [`channel`]: fed by hand, from a task that watches something.
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
//! When a source ends, the endpoints that it told of remain: an end says that nothing will change any more, not that
//! nothing is there. An error is no end: the endpoints remain as well, and the balancer goes on to poll the source. A source
//! that cannot go on after an error ends.

mod change;
mod channel;
mod discover;
mod list;

pub use self::change::Change;
pub use self::channel::{ChannelDiscover, Sender, channel};
pub use self::discover::Discover;
pub use self::list::ServiceList;

/// Errors.
pub mod error {
    pub use crate::channel::Closed;
}

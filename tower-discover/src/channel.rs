use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::{error, fmt};

use futures_core::Stream;
use sync_wrapper::SyncWrapper;
use tokio::sync::mpsc;

use crate::Change;

/// Creates a source of endpoints that receives its changes from [`Sender`]s.
///
/// At most `bound` changes are queued; after that, senders wait until the balancer has taken one. The stream ends when
/// all senders are dropped; the balancer then keeps the endpoints that it has.
///
/// # Panics
///
/// If `bound` is 0.
pub fn channel<K, S>(bound: usize) -> (Sender<K, S>, ChannelDiscover<K, S>) {
    let (sender, receiver) = mpsc::channel(bound);
    (
        Sender { changes: sender },
        ChannelDiscover { changes: receiver },
    )
}

/// Sends changes of endpoints to a [`ChannelDiscover`]; see [`channel`].
pub struct Sender<K, S> {
    changes: mpsc::Sender<Change<K, S>>,
}

/// Receives changes of endpoints from [`Sender`]s; see [`channel`]. A [`Discover`](crate::Discover) that never fails.
#[derive(Debug)]
pub struct ChannelDiscover<K, S> {
    changes: mpsc::Receiver<Change<K, S>>,
}

/// The change was not sent because the [`ChannelDiscover`] was dropped.
///
/// It implements [`Error`](error::Error), so that `?` works, for every service, even one that is neither `Debug` nor
/// `Sync`.
pub struct Closed<K, S> {
    change: SyncWrapper<Change<K, S>>,
}

impl<K, S> Closed<K, S> {
    /// Returns the change that was not sent.
    pub fn into_inner(self) -> Change<K, S> {
        self.change.into_inner()
    }
}

impl<K, S> Sender<K, S> {
    /// Adds an endpoint, or replaces the service of an existing one.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the [`ChannelDiscover`] was dropped.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it completes, the change was not sent.
    pub async fn insert(&self, key: K, service: S) -> Result<(), Closed<K, S>> {
        self.send(Change::Insert(key, service)).await
    }

    /// Removes an endpoint.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the [`ChannelDiscover`] was dropped.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it completes, the change was not sent.
    pub async fn remove(&self, key: K) -> Result<(), Closed<K, S>> {
        self.send(Change::Remove(key)).await
    }

    /// Sends a change.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the [`ChannelDiscover`] was dropped.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it completes, the change was not sent.
    pub async fn send(&self, change: Change<K, S>) -> Result<(), Closed<K, S>> {
        self.changes.send(change).await.map_err(|unsent| Closed {
            change: SyncWrapper::new(unsent.0),
        })
    }

    /// Waits until the [`ChannelDiscover`] is dropped.
    pub async fn closed(&self) {
        self.changes.closed().await;
    }
}

impl<K, S> Stream for ChannelDiscover<K, S> {
    type Item = Result<Change<K, S>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.changes.poll_recv(cx).map(|change| change.map(Ok))
    }
}

impl<K, S> Clone for Sender<K, S> {
    fn clone(&self) -> Self {
        Self {
            changes: self.changes.clone(),
        }
    }
}

impl<K, S> fmt::Debug for Sender<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<K, S> fmt::Display for Closed<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the receiver of endpoint changes was dropped")
    }
}

impl<K, S> fmt::Debug for Closed<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closed").finish_non_exhaustive()
    }
}

impl<K, S> error::Error for Closed<K, S> {}

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::{error, fmt};

use futures_core::Stream;
use sync_wrapper::SyncWrapper;
use tokio::sync::mpsc;

use crate::Change;

/// A source of endpoints that is fed by hand.
///
/// `bound` changes wait for the balancer at most; a sender of more waits itself. The source ends when all senders are
/// dropped, and the balancer keeps the endpoints that it has.
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

/// Tells of endpoints; see [`channel`].
pub struct Sender<K, S> {
    changes: mpsc::Sender<Change<K, S>>,
}

/// Hears of endpoints; see [`channel`]. A [`Discover`](crate::Discover) that never fails.
#[derive(Debug)]
pub struct ChannelDiscover<K, S> {
    changes: mpsc::Receiver<Change<K, S>>,
}

/// The [`ChannelDiscover`] is dropped: the change was not sent.
///
/// It is an [`Error`](error::Error), for `?`, whatever the service: that need be neither `Debug` nor `Sync`.
pub struct Closed<K, S> {
    change: SyncWrapper<Change<K, S>>,
}

impl<K, S> Closed<K, S> {
    /// The change that was not sent.
    pub fn into_inner(self) -> Change<K, S> {
        self.change.into_inner()
    }
}

impl<K, S> Sender<K, S> {
    /// Tells of a new endpoint, or of a new service for one that is there.
    ///
    /// # Errors
    ///
    /// [`Closed`] if nobody listens any more.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped before it is done has told nothing.
    pub async fn insert(&self, key: K, service: S) -> Result<(), Closed<K, S>> {
        self.send(Change::Insert(key, service)).await
    }

    /// Tells that an endpoint is gone.
    ///
    /// # Errors
    ///
    /// [`Closed`] if nobody listens any more.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped before it is done has told nothing.
    pub async fn remove(&self, key: K) -> Result<(), Closed<K, S>> {
        self.send(Change::Remove(key)).await
    }

    /// Tells of any change.
    ///
    /// # Errors
    ///
    /// [`Closed`] if nobody listens any more.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped before it is done has told nothing.
    pub async fn send(&self, change: Change<K, S>) -> Result<(), Closed<K, S>> {
        self.changes.send(change).await.map_err(|unsent| Closed {
            change: SyncWrapper::new(unsent.0),
        })
    }

    /// Waits until nobody listens any more.
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
        f.write_str("nobody listens for changes of endpoints any more")
    }
}

impl<K, S> fmt::Debug for Closed<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closed").finish_non_exhaustive()
    }
}

impl<K, S> error::Error for Closed<K, S> {}

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::watch;

/// Tells servers to shut down; see [`shutdown_channel`].
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

/// Signals when to shut down.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

/// Creates a trigger and a signal that shut down any number of servers at once.
pub fn shutdown_channel() -> (ShutdownTrigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (ShutdownTrigger(sender), Shutdown(receiver))
}

impl ShutdownTrigger {
    /// Signals the shutdown to all servers.
    pub fn trigger(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Returns a future like [`requested`](Self::requested) that costs next to nothing when it is polled again.
    pub(super) fn when_requested(mut self) -> Requested {
        Requested {
            changes: self.0.clone(),
            requested: Box::pin(async move { self.requested().await }),
            is_registered: false,
        }
    }

    /// Waits for the shutdown. Dropping the [`ShutdownTrigger`] counts as one.
    pub async fn requested(&mut self) {
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Returns whether the shutdown was triggered.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }
}

/// Ready once the shutdown is triggered. Only the task that polled it first is woken, so it must not move to another.
pub(super) struct Requested {
    /// Has never seen a change.
    changes: watch::Receiver<bool>,
    requested: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_registered: bool,
}

impl Requested {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // The connections of all threads share the signal. Looking whether it changed writes to nothing that they share.
        if self.is_registered && !self.changes.has_changed().unwrap_or(true) {
            return Poll::Pending;
        }
        self.is_registered = true;
        self.requested.as_mut().poll(cx)
    }
}

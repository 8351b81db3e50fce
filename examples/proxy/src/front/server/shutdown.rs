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
    /// Waits for the shutdown. Dropping the [`ShutdownTrigger`] counts as one.
    pub async fn requested(&mut self) {
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Returns whether the shutdown was triggered.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }
}

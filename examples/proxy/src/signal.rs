//! The signals that the proxy handles.

use std::io;

/// How the proxy reacts to a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// It drains and exits; the signal's name.
    Stop(&'static str),
    /// It continues, since it does not support what the signal asks for: the signal's name, and why.
    Ignored(&'static str, &'static str),
}

/// The stream of signals received.
///
/// Once created, these signals do not terminate the process by themselves, and none is lost, whether or not it is
/// waited for yet.
#[cfg(unix)]
#[derive(Debug)]
pub struct Signals {
    listeners: Vec<(tokio::signal::unix::Signal, Signal)>,
}

#[cfg(unix)]
impl Signals {
    /// Listens for Ctrl-C (SIGINT), SIGTERM and SIGQUIT, which stop the proxy, and for SIGHUP, SIGUSR1 and SIGUSR2,
    /// which would terminate it otherwise, and by which other proxies reload, reopen their logs, and upgrade their
    /// binary.
    ///
    /// # Errors
    ///
    /// If the operating system does not allow to listen for them.
    pub fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let signals = [
            (SignalKind::interrupt(), Signal::Stop("SIGINT")),
            (SignalKind::terminate(), Signal::Stop("SIGTERM")),
            (SignalKind::quit(), Signal::Stop("SIGQUIT")),
            (
                SignalKind::hangup(),
                Signal::Ignored(
                    "SIGHUP",
                    "reloading the configuration is not supported, the current one stays in use",
                ),
            ),
            (
                SignalKind::user_defined1(),
                Signal::Ignored(
                    "SIGUSR1",
                    "there are no log files to reopen, logs go to stderr",
                ),
            ),
            (
                SignalKind::user_defined2(),
                Signal::Ignored(
                    "SIGUSR2",
                    "an upgrade of the running binary is not supported",
                ),
            ),
        ];
        let listeners = signals
            .into_iter()
            .map(|(kind, meaning)| Ok((signal(kind)?, meaning)))
            .collect::<io::Result<_>>()?;
        Ok(Self { listeners })
    }

    /// Waits for the next signal.
    ///
    /// # Cancel safety
    ///
    /// No signal is lost if the future is dropped.
    pub async fn next(&mut self) -> Signal {
        std::future::poll_fn(|cx| {
            for (listener, meaning) in &mut self.listeners {
                // `None` would mean that no more signals can come, which does not happen while the runtime lives.
                if let std::task::Poll::Ready(Some(())) = listener.poll_recv(cx) {
                    return std::task::Poll::Ready(*meaning);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

/// The stream of signals received.
#[cfg(windows)]
#[derive(Debug)]
pub struct Signals {
    interrupt: tokio::signal::windows::CtrlC,
    close: tokio::signal::windows::CtrlClose,
    shutdown: tokio::signal::windows::CtrlShutdown,
}

#[cfg(windows)]
impl Signals {
    /// Listens for Ctrl-C, the closing of the console and the shutdown of the system, which stop the proxy.
    ///
    /// # Errors
    ///
    /// If the operating system does not allow to listen for them.
    pub fn listen() -> io::Result<Self> {
        use tokio::signal::windows;
        Ok(Self {
            interrupt: windows::ctrl_c()?,
            close: windows::ctrl_close()?,
            shutdown: windows::ctrl_shutdown()?,
        })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Stop("Ctrl-C"),
            _ = self.close.recv() => Signal::Stop("console closed"),
            _ = self.shutdown.recv() => Signal::Stop("system shutdown"),
        }
    }
}

//! The signals that the proxy obeys.

use std::io;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// To finish what runs, and end.
    Stop(&'static str),
    /// To go on, since there is nothing to be done for it: the signal's name, and why.
    Ignored(&'static str, &'static str),
}

/// The signals that have come.
///
/// Once it is made, the signals that it knows do not end the process by themselves, and none is lost, whether it is waited for
/// yet or not.
#[cfg(unix)]
#[derive(Debug)]
pub struct Signals {
    listeners: Vec<(tokio::signal::unix::Signal, Signal)>,
}

#[cfg(unix)]
impl Signals {
    /// Listens for Ctrl-C (SIGINT), SIGTERM and SIGQUIT, which stop it, and for SIGHUP, SIGUSR1 and SIGUSR2, which would
    /// kill it otherwise, and by which other proxies reload, open their logs again, and change their binary.
    ///
    /// # Errors
    ///
    /// If the operating system does not let us listen for them.
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
                    "it cannot reload its configuration yet, and goes on with the one it has",
                ),
            ),
            (
                SignalKind::user_defined1(),
                Signal::Ignored(
                    "SIGUSR1",
                    "it has no log files to open again: it logs to stderr",
                ),
            ),
            (
                SignalKind::user_defined2(),
                Signal::Ignored("SIGUSR2", "it cannot upgrade its binary while it runs"),
            ),
        ];
        let listeners = signals
            .into_iter()
            .map(|(kind, meaning)| Ok((signal(kind)?, meaning)))
            .collect::<io::Result<_>>()?;
        Ok(Self { listeners })
    }

    /// Waits for the next one.
    ///
    /// # Cancel safety
    ///
    /// None is lost if this is dropped.
    pub async fn next(&mut self) -> Signal {
        std::future::poll_fn(|cx| {
            for (listener, meaning) in &mut self.listeners {
                // `None` would mean that no more can come, which does not happen while the runtime lives.
                if let std::task::Poll::Ready(Some(())) = listener.poll_recv(cx) {
                    return std::task::Poll::Ready(*meaning);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

/// The signals that have come.
#[cfg(windows)]
#[derive(Debug)]
pub struct Signals {
    interrupt: tokio::signal::windows::CtrlC,
    close: tokio::signal::windows::CtrlClose,
    shutdown: tokio::signal::windows::CtrlShutdown,
}

#[cfg(windows)]
impl Signals {
    /// Listens for Ctrl-C, the end of the console and that of the system, which stop it.
    ///
    /// # Errors
    ///
    /// If the operating system does not let us listen for them.
    pub fn listen() -> io::Result<Self> {
        use tokio::signal::windows;
        Ok(Self {
            interrupt: windows::ctrl_c()?,
            close: windows::ctrl_close()?,
            shutdown: windows::ctrl_shutdown()?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Stop("Ctrl-C"),
            _ = self.close.recv() => Signal::Stop("end of the console"),
            _ = self.shutdown.recv() => Signal::Stop("end of the system"),
        }
    }
}

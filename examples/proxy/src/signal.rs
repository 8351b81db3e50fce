//! The signals that end the proxy.

use std::io;

/// Listens for Ctrl-C and SIGTERM, or on Windows for Ctrl-C, the end of the console and of the system.
///
/// From when this returns, a signal is not lost, even if nobody waits for it yet.
///
/// # Errors
///
/// If the operating system does not let us listen for them.
#[cfg(unix)]
pub fn listen() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Listens for Ctrl-C and SIGTERM, or on Windows for Ctrl-C, the end of the console and of the system.
///
/// From when this returns, a signal is not lost, even if nobody waits for it yet.
///
/// # Errors
///
/// If the operating system does not let us listen for them.
#[cfg(windows)]
pub fn listen() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::windows;
    let mut interrupt = windows::ctrl_c()?;
    let mut close = windows::ctrl_close()?;
    let mut shutdown = windows::ctrl_shutdown()?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = close.recv() => {}
            _ = shutdown.recv() => {}
        }
    })
}

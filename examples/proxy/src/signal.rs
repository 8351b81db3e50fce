//! The signals that end the proxy.

use std::io;

/// Waits for Ctrl-C or, where there is such a thing, SIGTERM.
///
/// # Errors
///
/// If the operating system does not let us listen for them.
#[cfg(unix)]
pub async fn terminated() -> io::Result<()> {
    let mut sigterm = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = sigterm.recv() => Ok(()),
    }
}

/// Waits for Ctrl-C or, on Windows, the end of the console or the system.
///
/// # Errors
///
/// If the operating system does not let us listen for them.
#[cfg(windows)]
pub async fn terminated() -> io::Result<()> {
    let mut close = tokio::signal::windows::ctrl_close()?;
    let mut shutdown = tokio::signal::windows::ctrl_shutdown()?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = close.recv() => Ok(()),
        _ = shutdown.recv() => Ok(()),
    }
}

//! Accepting connections, and closing the listener without dropping one.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

/// Returns the next connection.
///
/// Failures to accept are transient (a client that aborted, no file descriptors left): they are logged, and accepting
/// is retried after a pause.
pub(crate) async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Closes the listener and returns the connections that were waiting in its queue.
///
/// A client whose connection the kernel has established may have sent its request already, and does not know of the
/// queue: closing the listener would reset it instead of responding. So new handshakes are blocked first, then the
/// queue is emptied, then the listener closes. A client whose handshake was blocked retries and is refused.
pub(crate) fn close(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let mut queued = Vec::new();
    // Directly and not through tokio, which may not have seen the newest connections.
    let listener = match listener.into_std() {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, "cannot empty the queue of connections");
            return queued;
        }
    };
    if let Err(error) = refuse_handshakes(&listener) {
        tracing::debug!(%error, "a connection that arrives now may be reset");
    }
    loop {
        let accepted = listener.accept().and_then(|(stream, client)| {
            stream.set_nonblocking(true)?;
            Ok((TcpStream::from_std(stream)?, client))
        });
        match accepted {
            Ok(connection) => queued.push(connection),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => return queued,
                // A client that aborted while it was queued.
                io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                _ => {
                    tracing::warn!(%error, "cannot accept the connections that are queued");
                    return queued;
                }
            },
        }
    }
}

/// Makes the kernel drop every packet to the listener that has SYN set.
///
/// No system call stops a listener and keeps its queue: `shutdown` empties the queue, and a backlog of 0 still admits
/// one.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn refuse_handshakes(listener: &std::net::TcpListener) -> io::Result<()> {
    use socket2::SockFilter;

    // Classic BPF over the TCP header, whose byte 13 holds the flags.
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const SYN: u32 = 0x02;
    socket2::SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, 13),
        SockFilter::new(JUMP_IF_SET, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}

/// On other systems a connection that arrives between emptying the queue and closing the listener is reset.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn refuse_handshakes(_listener: &std::net::TcpListener) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The pause after a failure to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn closing_returns_what_is_queued() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut clients = Vec::new();
        for _ in 0..10 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let mut queued = close(listener);
        assert_eq!(queued.len(), 10);
        assert!(TcpStream::connect(address).await.is_err());
        for (stream, _) in &mut queued {
            stream.write_all(b"x").await.unwrap();
        }
        drop(queued);
        for mut client in clients {
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "x");
        }
    }

    /// Accepted sockets inherit the filter, so it must let everything else pass.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn handshakes_are_refused_and_the_queue_is_kept() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut before = std::net::TcpStream::connect(address).unwrap();
        refuse_handshakes(&listener).unwrap();
        let after =
            tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await;
        assert!(after.is_err(), "neither accepted nor refused: {after:?}");
        let (mut accepted, _) = listener.accept().unwrap();
        io::Write::write_all(&mut before, b"ping").unwrap();
        let mut read = [0; 4];
        io::Read::read_exact(&mut accepted, &mut read).unwrap();
        assert_eq!(&read, b"ping");
    }
}

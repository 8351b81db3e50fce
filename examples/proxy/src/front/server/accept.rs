//! The listening socket: accepting, and its end without a dropped connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

/// The next connection.
///
/// Failures to accept are of the moment (a client that gave up, no more file descriptors): they are logged, and accepting
/// is tried again a little later.
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

/// Closes the listener, and returns the connections that were waiting in its queue.
///
/// The client of a connection that the kernel has set up may have sent its request already, and knows nothing of a queue:
/// to close the listener over it would be a reset instead of an answer. So first no new handshake is let in, then the queue
/// is emptied, and then the listener closes. A client whose handshake was not let in tries again and is refused.
pub(crate) fn close(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let mut queued = Vec::new();
    // Not through tokio, which may not have heard of the newest connections.
    let listener = match listener.into_std() {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, "cannot empty the queue of connections");
            return queued;
        }
    };
    if let Err(error) = refuse_handshakes(&listener) {
        tracing::debug!(%error, "a connection that comes now may be reset");
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
                // A client that gave up while it waited.
                io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                _ => {
                    tracing::warn!(%error, "cannot accept the connections that are queued");
                    return queued;
                }
            },
        }
    }
}

/// Lets the kernel drop each packet to the listener that has SYN set.
///
/// There is no call that stops a listener and keeps its queue: `shutdown` empties it, and a backlog of 0 still admits one.
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

/// Elsewhere a connection that comes between the last look at the queue and the end of the listener is reset.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn refuse_handshakes(_listener: &std::net::TcpListener) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How long to wait after a failure to accept.
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

    /// The filter is inherited by what is accepted after it, and must let everything else pass.
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

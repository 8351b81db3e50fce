use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::net::TcpStream;
use tower_service::Service;

use super::Verdict;

/// A health check over TCP: an endpoint is healthy if it accepts a connection. The connection is closed immediately.
///
/// The request of the service is the address; convert other keys with `map_request`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpCheck;

impl Service<SocketAddr> for TcpCheck {
    type Response = Verdict;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Verdict>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, address: SocketAddr) -> Self::Future {
        Box::pin(async move {
            TcpStream::connect(address).await?;
            Ok(Verdict::Healthy)
        })
    }
}

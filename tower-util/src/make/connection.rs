use std::future::Future;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use crate::sealed::Sealed;

/// A [`Service`] whose responses are connections: another name for it, to write shorter bounds.
pub trait MakeConnection<Target>: Sealed<(Target,)> {
    /// The connection.
    type Connection: AsyncRead + AsyncWrite;

    /// Why there is none.
    type Error;

    /// Yields the connection.
    type Future: Future<Output = Result<Self::Connection, Self::Error>>;

    /// Whether a connection may be asked for.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>>;

    /// Connects to `target`.
    fn make_connection(&mut self, target: Target) -> Self::Future;
}

impl<S, Target> Sealed<(Target,)> for S where S: Service<Target> {}

impl<C, Target> MakeConnection<Target> for C
where
    C: Service<Target>,
    C::Response: AsyncRead + AsyncWrite,
{
    type Connection = C::Response;
    type Error = C::Error;
    type Future = C::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        Service::poll_ready(self, cx)
    }

    fn make_connection(&mut self, target: Target) -> C::Future {
        self.call(target)
    }
}

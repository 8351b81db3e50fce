use std::future::Future;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use crate::sealed::Sealed;

/// An alias for a [`Service`] that creates connections, for shorter bounds.
pub trait MakeConnection<Target>: Sealed<(Target,)> {
    /// The stream of bytes to and from the target.
    type Connection: AsyncRead + AsyncWrite;

    /// The error of a failed connection attempt.
    type Error;

    /// The future of the connection.
    type Future: Future<Output = Result<Self::Connection, Self::Error>>;

    /// Polls whether the service is ready to connect.
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

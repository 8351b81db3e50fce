use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::TryStream;

use crate::Change;
use sealed::Sealed;

/// A stream of [`Change`]s to a set of endpoints.
///
/// A shorter bound for such streams: it is implemented for every [`TryStream`] of changes whose keys are comparable,
/// and cannot be implemented otherwise.
pub trait Discover: Sealed<Change<(), ()>> {
    /// Identifies an endpoint: a change with the key of a known endpoint replaces or removes that endpoint.
    type Key: Eq;

    /// The service that sends requests to an endpoint.
    type Service;

    /// The error of a failed discovery.
    type Error;

    /// Polls for the next change; returns `None` if there will be no more.
    fn poll_discover(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Change<Self::Key, Self::Service>, Self::Error>>>;
}

impl<K, S, E, D: ?Sized> Sealed<Change<(), ()>> for D
where
    D: TryStream<Ok = Change<K, S>, Error = E>,
    K: Eq,
{
}

impl<K, S, E, D: ?Sized> Discover for D
where
    D: TryStream<Ok = Change<K, S>, Error = E>,
    K: Eq,
{
    type Key = K;
    type Service = S;
    type Error = E;

    #[inline]
    fn poll_discover(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<D::Ok, D::Error>>> {
        self.try_poll_next(cx)
    }
}

mod sealed {
    /// Seals [`Discover`], so that no implementation outside this crate conflicts with the blanket one.
    #[allow(unreachable_pub, unnameable_types, reason = "sealed")]
    pub trait Sealed<T> {}
}

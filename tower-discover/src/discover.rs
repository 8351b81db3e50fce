use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::TryStream;

use crate::Change;
use sealed::Sealed;

/// A source of [`Change`]s to a set of services.
///
/// Implemented for every [`TryStream`] of changes with comparable keys, and only for these. It is a name for such
/// streams, to be used in bounds.
pub trait Discover: Sealed<Change<(), ()>> {
    /// What tells one endpoint from another.
    type Key: Eq;

    /// The service of an endpoint.
    type Service;

    /// Why the source failed.
    type Error;

    /// The next change; `None` when there will be no more.
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
    /// Keeps implementations outside this crate from clashing with the one for all streams.
    #[allow(unreachable_pub, unnameable_types, reason = "sealed")]
    pub trait Sealed<T> {}
}

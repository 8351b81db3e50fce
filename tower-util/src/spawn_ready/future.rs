//! Response futures.

use futures_util::future::MapErr;

use crate::BoxError;

named_future! {
    /// The response of a [`SpawnReady`](super::SpawnReady).
    ResponseFuture<F, E>(MapErr<F, fn(E) -> BoxError>)
}

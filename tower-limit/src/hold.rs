//! What a request holds beyond its response.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A response future that holds a permit, which it can pass on with the response: that of a limit of requests in flight.
#[diagnostic::on_unimplemented(
    message = "the response future `{Self}` holds no permit",
    note = "only limits of requests in flight can hold a permit until the body ends, not rates"
)]
pub trait HoldPermit: Future {
    /// Is returned to the limit when it is dropped.
    type Permit;

    /// Polls for the response, and returns the permit with it. The future then holds none.
    fn poll_holding(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<(Self::Output, Option<Self::Permit>)>;
}

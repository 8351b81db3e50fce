//! What a response future has while its request is queued.

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::future::ResponseFuture;

/// Where the responses of queued requests are kept, whatever the type of the requests.
pub(crate) trait Replies<F>: Send + Sync {
    fn poll_reply(&self, key: usize, cx: &mut Context<'_>) -> Poll<ResponseFuture<F>>;
    fn forget(&self, key: usize);
}

/// A request that is queued. Dropping it takes the request out of the queue.
pub(crate) struct Ticket<F> {
    replies: Arc<dyn Replies<F>>,
    key: usize,
}

impl<F> Ticket<F> {
    pub(crate) fn new(replies: Arc<dyn Replies<F>>, key: usize) -> Self {
        Self { replies, key }
    }

    pub(crate) fn poll_reply(&self, cx: &mut Context<'_>) -> Poll<ResponseFuture<F>> {
        self.replies.poll_reply(self.key, cx)
    }
}

impl<F> Drop for Ticket<F> {
    fn drop(&mut self) {
        self.replies.forget(self.key);
    }
}

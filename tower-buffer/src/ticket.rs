//! What a response future has while its request is queued.

use std::sync::Arc;
use std::task::{Context, Poll};

/// Where the responses of queued requests are kept, whatever the type of the requests.
pub(crate) trait Replies<R>: Send + Sync {
    fn poll_reply(&self, key: usize, cx: &mut Context<'_>) -> Poll<R>;
    fn forget(&self, key: usize);
}

/// A request that is queued. Dropping it takes the request out of the queue.
pub(crate) struct Ticket<R> {
    replies: Arc<dyn Replies<R>>,
    key: usize,
}

impl<R> Ticket<R> {
    pub(crate) fn new(replies: Arc<dyn Replies<R>>, key: usize) -> Self {
        Self { replies, key }
    }

    pub(crate) fn poll_reply(&self, cx: &mut Context<'_>) -> Poll<R> {
        self.replies.poll_reply(self.key, cx)
    }
}

impl<R> Drop for Ticket<R> {
    fn drop(&mut self) {
        self.replies.forget(self.key);
    }
}

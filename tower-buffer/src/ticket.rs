//! The claim of a response future on the reply to its queued request.

use std::sync::Arc;
use std::task::{Context, Poll};

/// Stores the replies to queued requests, with the type of the requests erased.
pub(crate) trait Replies<R>: Send + Sync {
    fn poll_reply(&self, key: usize, cx: &mut Context<'_>) -> Poll<R>;
    fn forget(&self, key: usize);
}

/// A queued request. Dropping the ticket removes the request from the queue.
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

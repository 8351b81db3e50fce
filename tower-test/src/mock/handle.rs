use std::fmt;
use std::task::{Context, Poll, Waker};

use tokio::sync::{mpsc, oneshot};

use super::error::Error;
use super::state::Shared;

/// Steers a [`Mock`](super::Mock) and its clones.
///
/// When it is dropped, they fail with [`Closed`](super::error::Closed).
pub struct Handle<T, U> {
    requests: mpsc::UnboundedReceiver<(T, SendResponse<U>)>,
    shared: Shared,
}

impl<T, U> Handle<T, U> {
    pub(super) fn new(
        requests: mpsc::UnboundedReceiver<(T, SendResponse<U>)>,
        shared: Shared,
    ) -> Self {
        Self { requests, shared }
    }

    /// The next request if there is one now, else `Pending`; `None` when all services are gone.
    pub fn poll_request(&mut self) -> Poll<Option<(T, SendResponse<U>)>> {
        self.requests
            .poll_recv(&mut Context::from_waker(Waker::noop()))
    }

    /// Waits for the next request; `None` when all services are gone.
    ///
    /// # Cancel safety
    ///
    /// No request is lost when the future is dropped.
    pub async fn next_request(&mut self) -> Option<(T, SendResponse<U>)> {
        self.requests.recv().await
    }

    /// From now on the service is ready for `requests` further requests, and no more.
    pub fn allow(&mut self, requests: u64) {
        self.shared.allow(requests);
    }

    /// The next `poll_ready`, on any clone, fails with `error`.
    pub fn send_error<E: Into<Error>>(&mut self, error: E) {
        self.shared.fail_readiness(error.into());
    }
}

impl<T, U> Drop for Handle<T, U> {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl<T, U> fmt::Debug for Handle<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// Answers one request.
///
/// If it is dropped instead, the request fails with [`Closed`](super::error::Closed).
#[derive(Debug)]
pub struct SendResponse<T> {
    answer: oneshot::Sender<Result<T, Error>>,
}

impl<T> SendResponse<T> {
    pub(super) fn new(answer: oneshot::Sender<Result<T, Error>>) -> Self {
        Self { answer }
    }

    /// Answers with a response. Nothing happens if nobody waits for it any more.
    pub fn send_response(self, response: T) {
        let _ = self.answer.send(Ok(response));
    }

    /// Answers with an error. Nothing happens if nobody waits for it any more.
    pub fn send_error<E: Into<Error>>(self, error: E) {
        let _ = self.answer.send(Err(error.into()));
    }

    /// Whether the caller has dropped the response future.
    pub fn is_cancelled(&self) -> bool {
        self.answer.is_closed()
    }
}

use std::fmt;
use std::task::{Context, Poll, Waker};

use tokio::sync::{mpsc, oneshot};

use super::error::Error;
use super::state::Shared;

/// Controls a [`Mock`](super::Mock) and its clones.
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

    /// Returns the next request, or `Pending` if there is none yet; `None` when all services were dropped.
    pub fn poll_request(&mut self) -> Poll<Option<(T, SendResponse<U>)>> {
        self.requests
            .poll_recv(&mut Context::from_waker(Waker::noop()))
    }

    /// Waits for the next request; returns `None` when all services were dropped.
    ///
    /// # Cancel safety
    ///
    /// No request is lost if the future is dropped.
    pub async fn next_request(&mut self) -> Option<(T, SendResponse<U>)> {
        self.requests.recv().await
    }

    /// Allows `requests` further requests; after these the service is not ready.
    pub fn allow(&mut self, requests: u64) {
        self.shared.allow(requests);
    }

    /// Fails the next `poll_ready` of any clone with `error`.
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

/// Responds to one request.
///
/// If it is dropped without a response, the request fails with [`Closed`](super::error::Closed).
#[derive(Debug)]
pub struct SendResponse<T> {
    answer: oneshot::Sender<Result<T, Error>>,
}

impl<T> SendResponse<T> {
    pub(super) fn new(answer: oneshot::Sender<Result<T, Error>>) -> Self {
        Self { answer }
    }

    /// Sends a response. Does nothing if the response future was dropped.
    pub fn send_response(self, response: T) {
        let _ = self.answer.send(Ok(response));
    }

    /// Sends an error. Does nothing if the response future was dropped.
    pub fn send_error<E: Into<Error>>(self, error: E) {
        let _ = self.answer.send(Err(error.into()));
    }

    /// Whether the response future was dropped.
    pub fn is_cancelled(&self) -> bool {
        self.answer.is_closed()
    }
}

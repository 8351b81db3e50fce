use std::fmt;
use std::task::{Context, Poll, ready};

use tokio::sync::{mpsc, oneshot};
use tower_service::Service;

use super::error::Error;
use super::future::ResponseFuture;
use super::state::Shared;
use super::{Handle, SendResponse};

/// A mock service, controlled by its [`Handle`].
///
/// It fails with [`Closed`](super::error::Closed) once the handle is dropped.
///
/// # Clone
///
/// Clones share the handle and the number of allowed requests. A clone is not ready, even if the original is.
///
/// # Panics
///
/// [`call`](Service::call) panics if this clone has not returned ready since its last call: the middleware under test
/// broke the contract.
pub struct Mock<T, U> {
    id: u64,
    requests: mpsc::UnboundedSender<(T, SendResponse<U>)>,
    shared: Shared,
    ready: bool,
}

impl<T, U> Mock<T, U> {
    pub(super) fn new(
        requests: mpsc::UnboundedSender<(T, SendResponse<U>)>,
        shared: Shared,
    ) -> Self {
        Self {
            id: shared.next_id(),
            requests,
            shared,
            ready: false,
        }
    }
}

impl<T, U> Service<T> for Mock<T, U> {
    type Response = U;
    type Error = Error;
    type Future = ResponseFuture<U>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.shared.poll_ready(self.id, self.ready, cx))?;
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: T) -> Self::Future {
        if !self.shared.call() {
            return ResponseFuture::closed();
        }
        assert!(
            self.ready,
            "service not ready; poll_ready must be called first"
        );
        self.ready = false;

        let (sender, answer) = oneshot::channel();
        match self.requests.send((request, SendResponse::new(sender))) {
            Ok(()) => ResponseFuture::new(answer),
            Err(_) => ResponseFuture::closed(),
        }
    }
}

impl<T, U> Clone for Mock<T, U> {
    fn clone(&self) -> Self {
        Self::new(self.requests.clone(), self.shared.clone())
    }
}

impl<T, U> Drop for Mock<T, U> {
    fn drop(&mut self) {
        self.shared.forget(self.id);
    }
}

impl<T, U> fmt::Debug for Mock<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mock")
            .field("id", &self.id)
            .field("ready", &self.ready)
            .finish_non_exhaustive()
    }
}

#[expect(dead_code, reason = "only compiled")]
fn a_mock_may_be_shared_among_threads<T: Send, U: Send>(
    mock: Mock<T, U>,
    handle: Handle<T, U>,
) -> impl Send + Sync {
    (mock, handle)
}

//! The body of a request on its way to an endpoint.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::{AbortHandle, Abortable, abortable};
use futures_util::task::AtomicWaker;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use tower::BoxError;

use crate::front::body::RequestBody;
use crate::front::upload::BodyFailure;
use crate::transport::stall::{self, Limits};

/// A request's body on its way to an endpoint, in one attempt.
///
/// It is what hyper polls; how long hyper may let it wait, it [tells](stall::handed) the task that sends it.
#[derive(Debug)]
pub struct SentBody {
    body: RequestBody,
    upload: Option<Arc<Upload>>,
    /// Its task was told to come back.
    awaited: bool,
}

impl SentBody {
    /// The request with its body, which the endpoint may let wait within the [`Limits`] among the extensions.
    pub fn of(request: Request<RequestBody>) -> Request<Self> {
        let limits = request.extensions().get().copied().unwrap_or_default();
        request.map(|body| Self::new(body, limits))
    }

    fn new(body: RequestBody, limits: Limits) -> Self {
        let upload = (!body.is_end_stream()).then(|| Arc::new(Upload::within(limits)));
        Self {
            body,
            upload,
            awaited: false,
        }
    }

    /// What becomes of it; `None` if there is nothing to send.
    pub fn upload(&self) -> Option<Arc<Upload>> {
        self.upload.clone()
    }

    fn tell(&self, over: impl FnOnce(&Upload)) {
        if let Some(upload) = &self.upload {
            over(upload);
        }
    }
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if std::mem::take(&mut self.awaited) {
            stall::waits();
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(_)) => {
                if self.body.is_end_stream() {
                    self.tell(Upload::sent);
                }
                // Also the last frame waits until the endpoint takes it.
                if let Some(upload) = &self.upload {
                    stall::handed(upload.limits, Some(upload));
                    self.awaited = true;
                }
            }
            Some(Err(error)) => self.tell(|upload| upload.failed(BodyFailure::of(error))),
            None => self.tell(Upload::sent),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for SentBody {
    fn drop(&mut self) {
        if self.awaited {
            stall::waits();
        }
    }
}

/// What the two ends of an attempt know of its upload.
#[derive(Debug, Default)]
pub struct Upload {
    /// How long the endpoint may let it wait.
    limits: Limits,
    state: AtomicU8,
    failure: OnceLock<BodyFailure>,
    /// Whoever waits for the response.
    waker: AtomicWaker,
    /// What sends it, if it is a future of its own.
    sender: Mutex<Option<AbortHandle>>,
}

const SENDING: u8 = 0;
const SENT: u8 = 1;
const STALLED: u8 = 2;
const GIVEN_UP: u8 = 3;

impl Upload {
    fn within(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Whether all of the body was handed over.
    pub fn is_sent(&self) -> bool {
        self.state.load(Ordering::Acquire) == SENT
    }

    /// Whether the endpoint was given up because it did not read.
    pub fn is_stalled(&self) -> bool {
        self.state.load(Ordering::Acquire) == STALLED
    }

    /// Ready when the endpoint was given up because it does not read.
    pub fn poll_stalled(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.is_stalled() {
            self.waker.register(cx.waker());
            if !self.is_stalled() {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// What went wrong with the body, if it was the body.
    pub fn failure(&self) -> Option<BodyFailure> {
        self.failure.get().copied()
    }

    /// The endpoint does not read; the task that sends ends.
    pub fn stalled(&self) {
        self.state.store(STALLED, Ordering::Release);
        self.waker.wake();
    }

    /// The response is over, or nothing waits for it: what sends the rest ends now, whatever the endpoint does.
    pub fn give_up(&self) {
        let mut kept = self.sender();
        self.state.store(GIVEN_UP, Ordering::Release);
        let sender = kept.take();
        drop(kept);
        if let Some(sender) = sender {
            sender.abort();
        }
    }

    /// This sends it, until it is given up.
    pub(crate) fn sent_by<F: Future>(&self, sender: F) -> Abortable<F> {
        let (sender, handle) = abortable(sender);
        let mut kept = self.sender();
        match self.state.load(Ordering::Acquire) {
            GIVEN_UP => handle.abort(),
            _ => *kept = Some(handle),
        }
        drop(kept);
        sender
    }

    fn sent(&self) {
        self.advance(SENT);
    }

    fn failed(&self, failure: BodyFailure) {
        // Only the first failure is told.
        let _ = self.failure.set(failure);
    }

    fn advance(&self, to: u8) {
        // What was stalled or given up stays so.
        let _ = self
            .state
            .compare_exchange(SENDING, to, Ordering::AcqRel, Ordering::Acquire);
    }

    fn sender(&self) -> std::sync::MutexGuard<'_, Option<AbortHandle>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

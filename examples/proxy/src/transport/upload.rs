//! The state shared by the two ends of an upload: an endpoint that does not read, a client whose body fails, a response
//! that ends before the body has.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tower::BoxError;

use super::limits::Limits;

/// The state of one attempt's upload, shared by its two ends.
#[derive(Debug, Default)]
pub struct Upload {
    limits: Limits,
    state: AtomicU8,
    failure: OnceLock<BodyError>,
    /// The task that waits for the response.
    waker: AtomicWaker,
    /// The future that sends the body, if it is a separate one.
    sender: AtomicWaker,
}

const SENDING: u8 = 0;
const SENT: u8 = 1;
const STALLED: u8 = 2;
const GIVEN_UP: u8 = 3;

impl Upload {
    /// Creates the state of an upload that the endpoint may delay within `limits`.
    pub(crate) fn within(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Returns the limits within which the endpoint may delay it.
    pub(crate) const fn limits(&self) -> Limits {
        self.limits
    }

    /// Returns whether the whole body was handed over.
    pub fn is_sent(&self) -> bool {
        self.state.load(Ordering::Acquire) == SENT
    }

    /// Returns whether the endpoint was given up because it did not read.
    pub fn is_stalled(&self) -> bool {
        self.state.load(Ordering::Acquire) == STALLED
    }

    /// Ready once the endpoint was given up because it does not read.
    pub fn poll_stalled(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.is_stalled() {
            self.waker.register(cx.waker());
            if !self.is_stalled() {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// Returns the error of the body, if it failed.
    pub fn failure(&self) -> Option<BodyError> {
        self.failure.get().cloned()
    }

    /// Marks the upload as stalled: the endpoint does not read, and the sending task ends.
    pub fn stalled(&self) {
        self.state.store(STALLED, Ordering::Release);
        self.waker.wake();
    }

    /// Aborts the upload: the response has ended or was cancelled, so the rest is not sent, whatever the endpoint does.
    pub fn give_up(&self) {
        self.state.store(GIVEN_UP, Ordering::Release);
        self.sender.wake();
    }

    /// Ready once the upload was aborted, so that the future that sends it must end.
    pub(crate) fn poll_given_up(&self, cx: &Context<'_>) -> Poll<()> {
        // Registered before the check, so that an abort in between is not missed.
        self.sender.register(cx.waker());
        match self.state.load(Ordering::Acquire) {
            GIVEN_UP => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }

    /// Marks the whole body as handed over.
    pub(crate) fn sent(&self) {
        self.advance(SENT);
    }

    /// Marks the body as failed.
    pub(crate) fn failed(&self, failure: BodyError) {
        // Only the first failure is reported.
        let _ = self.failure.set(failure);
    }

    fn advance(&self, to: u8) {
        // An upload that was stalled or aborted stays so.
        let _ = self
            .state
            .compare_exchange(SENDING, to, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// Why a body failed, shared by its two ends: the one that sends it, and the one that waits for the response.
#[derive(Debug, Clone)]
pub struct BodyError(Arc<dyn Error + Send + Sync>);

impl BodyError {
    /// Wraps the error of a body, which becomes the [`source`](Error::source) of this one.
    pub fn new(error: BoxError) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body failed while it was sent")
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

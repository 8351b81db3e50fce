//! What the two ends of an upload know of each other: an endpoint that does not read, a client whose body fails, an answer
//! that has come to its end before the body has.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll};

use futures_util::future::{AbortHandle, Abortable, abortable};
use futures_util::task::AtomicWaker;
use tower::BoxError;

use super::stall::Limits;
use crate::lock::lock;

/// What the two ends of an attempt know of its upload.
#[derive(Debug, Default)]
pub struct Upload {
    limits: Limits,
    state: AtomicU8,
    failure: OnceLock<BodyError>,
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
    /// The endpoint may let it wait within `limits`.
    pub(crate) fn within(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// How long the endpoint may let it wait.
    pub(crate) const fn limits(&self) -> Limits {
        self.limits
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
    pub fn failure(&self) -> Option<BodyError> {
        self.failure.get().cloned()
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

    /// All of the body was handed over.
    pub(crate) fn sent(&self) {
        self.advance(SENT);
    }

    /// The body has failed.
    pub(crate) fn failed(&self, failure: BodyError) {
        // Only the first failure is told.
        let _ = self.failure.set(failure);
    }

    fn advance(&self, to: u8) {
        // What was stalled or given up stays so.
        let _ = self
            .state
            .compare_exchange(SENDING, to, Ordering::AcqRel, Ordering::Acquire);
    }

    fn sender(&self) -> MutexGuard<'_, Option<AbortHandle>> {
        lock(&self.sender)
    }
}

/// Why a body failed, for its two ends: what sends it, and what waits for the response.
#[derive(Debug, Clone)]
pub struct BodyError(Arc<dyn Error + Send + Sync>);

impl BodyError {
    /// The error of a body, which is the [`source`](Error::source) of this one.
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

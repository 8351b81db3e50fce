use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;

use crate::BoxError;
use crate::error::Failure;
use crate::shared::{Idle, Shared};
use crate::turn::{Served, Turn};

/// Drives the service of a [`Buffer`](crate::Buffer), and calls it with queued requests; created by
/// [`Buffer::pair`](crate::Buffer::pair).
///
/// It completes when the service has failed, or when all buffers are dropped and the service has been called with all queued
/// requests. Dropping it earlier closes the buffer.
#[must_use = "the buffer does nothing unless its worker is polled"]
pub struct Worker<Req, S>
where
    S: Service<Req>,
{
    shared: Arc<Shared<Req, S::Future>>,
    /// The number of consecutive polls that found all slots reserved while the queue was empty.
    blocked: u32,
    started: bool,
    _service: PhantomData<fn() -> S>,
}

impl<Req, S> Worker<Req, S>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
{
    pub(crate) const fn new(shared: Arc<Shared<Req, S::Future>>) -> Self {
        Self {
            shared,
            blocked: 0,
            started: false,
            _service: PhantomData,
        }
    }

    /// With an empty queue, [drives](tower_readiness::Purpose::Drive) the service if it has woken the worker.
    fn idle(&mut self, turn: &mut Turn<'_, Req, S::Future>) -> Next {
        if self.shared.worker.take_service_wake() && turn.drive().is_err() {
            return Next::Finish;
        }
        match self.shared.idle() {
            Idle::Blocked => {
                self.blocked += 1;
                if self.blocked > MAX_BLOCKED_YIELDS {
                    self.blocked = 0;
                    self.shared.overcommit();
                }
                Next::Again
            }
            Idle::Nothing => Next::Sleep,
            Idle::Finished => {
                self.shared.close(&Failure::Closed);
                Next::Finish
            }
        }
    }
}

/// What the worker does next.
enum Next {
    /// It yields: it continues after other tasks have run.
    Again,
    /// It sleeps until a request is queued or the service wakes it.
    Sleep,
    Finish,
}

impl<Req, S> Future for Worker<Req, S>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let shared = Arc::clone(&this.shared);
        shared.worker.set_task(cx.waker());
        shared.set_runtime();
        if shared.is_closed() {
            return Poll::Ready(());
        }
        let Some(guard) = shared.service_lock.lock_or_notify() else {
            return Poll::Pending;
        };
        let first = !std::mem::replace(&mut this.started, true);
        let mut turn = Turn::new(&shared, guard);
        let served = turn.serve(&mut { Turn::<Req, S::Future>::CALLS });
        let next = match served {
            // A buffer is often created right before its first request. That request then polls the service, in its own
            // span, before the worker drives the service without one.
            Served::All if first => Next::Again,
            Served::All => this.idle(&mut turn),
            Served::Some => Next::Again,
            Served::Pending => Next::Sleep,
            Served::Failed => Next::Finish,
        };
        let unlocked = turn.end();
        shared.after(unlocked);
        match next {
            // A caller that queued a request in the meantime found the service in use.
            Next::Sleep if unlocked.queued() && !matches!(served, Served::Pending) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Next::Sleep => Poll::Pending,
            Next::Again => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Next::Finish => Poll::Ready(()),
        }
    }
}

impl<Req, S> Drop for Worker<Req, S>
where
    S: Service<Req>,
{
    fn drop(&mut self) {
        self.shared.close(&Failure::Closed);
        self.shared.worker.clear_task();
    }
}

impl<Req, S> fmt::Debug for Worker<Req, S>
where
    S: Service<Req>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

/// The number of times that the worker yields to other tasks before it counts unused reservations as idle.
const MAX_BLOCKED_YIELDS: u32 = 32;

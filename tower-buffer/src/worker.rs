use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_readiness::Purpose;
use tower_service::Service;

use crate::BoxError;
use crate::error::Failure;
use crate::queue::Job;
use crate::shared::{Driver, Next, Shared};

/// Drives the service of a [`Buffer`](crate::Buffer) and calls it with what is queued; made by
/// [`Buffer::pair`](crate::Buffer::pair).
///
/// It finishes when the service has failed, or when all buffers are gone and all they have queued has been called.
/// Dropping it before closes the buffer.
#[must_use = "the buffer does nothing unless its worker is polled"]
pub struct Worker<Req, S>
where
    S: Service<Req>,
{
    shared: Arc<Shared<Req, S::Future>>,
    /// How often in a row it has found all places taken by handles that do nothing.
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

    /// Asks the service whether it is ready, if that is of use.
    ///
    /// While there are no requests it is asked only when it has woken the worker, and only [driven](Purpose::Drive): it
    /// makes progress, and reserves nothing that others could use. Otherwise it is asked in the span of the request that
    /// waits for it.
    fn poll_service(
        &mut self,
        driver: &mut Driver<Req, S::Future>,
        cx: &Context<'_>,
    ) -> Result<(), Failure> {
        let span = self.shared.first_span();
        if !self.started && span.is_none() {
            // A buffer is often made right before its first request: which has its turn before the service is asked for
            // nobody, and in nobody's span.
            self.started = true;
            cx.waker().wake_by_ref();
            return Ok(());
        }
        self.started = true;
        if self.shared.wakes.take() || (span.is_some() && !driver.ready) {
            let Some(service) = &mut driver.service else {
                return Ok(());
            };
            let mut cx = Context::from_waker(self.shared.waker());
            let polled = match &span {
                Some(span) => span.in_scope(|| service.poll_ready(&mut cx)),
                None => Purpose::Drive.run(|| service.poll_ready(&mut cx)),
            };
            driver.ready = match polled {
                Poll::Ready(Ok(())) => span.is_some(),
                Poll::Ready(Err(failure)) => return Err(failure),
                Poll::Pending => false,
            };
        }
        Ok(())
    }

    /// The request for which the service became ready has been cancelled.
    fn give_back(&self, driver: &mut Driver<Req, S::Future>) -> Result<(), Failure> {
        if std::mem::take(&mut driver.ready)
            && let Some(service) = &mut driver.service
        {
            let mut cx = Context::from_waker(self.shared.waker());
            let polled = Purpose::Drive.run(|| service.poll_ready(&mut cx));
            if let Poll::Ready(Err(failure)) = polled {
                return Err(failure);
            }
        }
        Ok(())
    }

    /// Calls the service until there is nothing to do. `Ready` when there never will be.
    fn work(
        &mut self,
        driver: &mut Driver<Req, S::Future>,
        cx: &Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        for _ in 0..CALLS_PER_POLL {
            self.poll_service(driver, cx)?;
            let next = self.shared.next(driver.ready);
            if !matches!(next, Next::Job(..)) {
                self.give_back(driver)?;
            }
            match next {
                Next::Job(key, Job { request, span }) => {
                    self.blocked = 0;
                    driver.ready = false;
                    let Some(service) = &mut driver.service else {
                        return Poll::Ready(Ok(()));
                    };
                    let result = span.in_scope(|| service.call(request));
                    let failure = result.as_ref().err().cloned();
                    self.shared.reply(key, result);
                    if let Some(failure) = failure {
                        return Poll::Ready(Err(failure));
                    }
                }
                Next::Empty => return Poll::Pending,
                Next::Blocked => {
                    self.blocked += 1;
                    if self.blocked > PATIENCE {
                        self.blocked = 0;
                        self.shared.lend();
                    }
                    break;
                }
                Next::Finished => return Poll::Ready(Ok(())),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
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
        shared.wakes.set_task(cx.waker());
        shared.set_home();
        if shared.is_closed() {
            return Poll::Ready(());
        }
        let Some(mut inside) = shared.want() else {
            return Poll::Pending;
        };
        let worked = inside.with(|driver| this.work(driver, cx));
        shared.left(inside.leave());
        match worked {
            Poll::Pending => Poll::Pending,
            Poll::Ready(finished) => {
                let failure = finished.err().unwrap_or(Failure::Closed);
                if let Failure::Service(error) = &failure {
                    tracing::debug!(
                        error = error as &dyn std::error::Error,
                        "closing the buffer"
                    );
                }
                shared.close(&failure);
                Poll::Ready(())
            }
        }
    }
}

impl<Req, S> Drop for Worker<Req, S>
where
    S: Service<Req>,
{
    fn drop(&mut self) {
        self.shared.close(&Failure::Closed);
        self.shared.wakes.clear_task();
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

/// So often the other tasks have their turn before handles that have a place and do nothing count as idle.
const PATIENCE: u32 = 32;

/// After so many the worker lets other tasks have their turn.
const CALLS_PER_POLL: usize = 64;

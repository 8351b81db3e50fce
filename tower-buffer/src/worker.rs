use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use tower_service::Service;

use crate::BoxError;
use crate::error::{Failure, Panicked, ServiceError};
use crate::queue::Job;
use crate::shared::{Next, Shared};

/// Calls the service of a [`Buffer`](crate::Buffer) with what is queued; made by [`Buffer::pair`](crate::Buffer::pair).
///
/// It finishes when the service has failed, or when all buffers are gone and all they have queued has been called.
/// Dropping it before closes the buffer.
#[must_use = "the buffer does nothing unless its worker is polled"]
pub struct Worker<Req, S>
where
    S: Service<Req>,
{
    /// `None` when it has finished.
    service: Option<S>,
    /// Whether the service has been ready since it was last called.
    ready: bool,
    /// How often in a row it has found all places taken by handles that do nothing.
    blocked: u32,
    started: bool,
    wakes: Arc<Wakes>,
    /// [`Self::wakes`], for the service.
    waker: Waker,
    shared: Arc<Shared<Req, S::Future>>,
}

// The service is only ever borrowed, never pinned.
impl<Req, S: Service<Req>> Unpin for Worker<Req, S> {}

impl<Req, S> Worker<Req, S>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
{
    pub(crate) fn new(service: S, shared: Arc<Shared<Req, S::Future>>) -> Self {
        let wakes = Arc::new(Wakes {
            woken: AtomicBool::new(true),
            task: Mutex::new(None),
        });
        Self {
            service: Some(service),
            ready: false,
            blocked: 0,
            started: false,
            waker: Arc::clone(&wakes).into(),
            wakes,
            shared,
        }
    }

    /// Asks the service whether it is ready, if that is of use.
    ///
    /// While there are no requests it is asked only when it has woken the worker. It gets what it needs to make progress
    /// then; but one that reserves something when it is ready is not made to reserve it for nothing after each request.
    /// It is asked in the span of the request that waits for it.
    fn poll_service(&mut self, service: &mut S, cx: &Context<'_>) -> Result<(), Failure> {
        let span = self.shared.first_span(cx);
        if !self.started && span.is_none() {
            // A buffer is often made right before its first request: which has its turn before the service is asked for
            // nobody, and in nobody's span.
            self.started = true;
            cx.waker().wake_by_ref();
            return Ok(());
        }
        self.started = true;
        if self.wakes.take() || (span.is_some() && !self.ready) {
            let mut cx = Context::from_waker(&self.waker);
            let poll_ready = || match &span {
                Some(span) => span.in_scope(|| service.poll_ready(&mut cx)),
                None => service.poll_ready(&mut cx),
            };
            self.ready = match caught(poll_ready)? {
                Poll::Ready(Ok(())) => true,
                Poll::Ready(Err(error)) => {
                    return Err(Failure::Service(ServiceError::new(error.into())));
                }
                Poll::Pending => false,
            };
        }
        Ok(())
    }

    fn call(&mut self, service: &mut S, job: Job<Req>) -> Result<S::Future, Failure> {
        self.ready = false;
        let Job { request, span } = job;
        caught(|| span.in_scope(|| service.call(request)))
    }

    /// Calls the service until there is nothing to do. `Ready` when there never will be.
    fn work(&mut self, service: &mut S, cx: &Context<'_>) -> Poll<Result<(), Failure>> {
        for _ in 0..CALLS_PER_POLL {
            if let Err(failure) = self.poll_service(service, cx) {
                return Poll::Ready(Err(failure));
            }
            match self.shared.next(self.ready) {
                Next::Job(key, job) => {
                    self.blocked = 0;
                    let result = self.call(service, job);
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
        let Some(mut service) = this.service.take() else {
            return Poll::Ready(());
        };
        this.wakes.set_task(cx.waker());
        match this.work(&mut service, cx) {
            Poll::Pending => {
                this.service = Some(service);
                Poll::Pending
            }
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(failure)) => {
                if let Failure::Service(error) = &failure {
                    tracing::debug!(
                        error = error as &dyn std::error::Error,
                        "closing the buffer"
                    );
                }
                this.shared.close(&failure);
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
    }
}

impl<Req, S> fmt::Debug for Worker<Req, S>
where
    S: Service<Req> + fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("service", &self.service)
            .field("ready", &self.ready)
            .finish_non_exhaustive()
    }
}

/// Wakes the worker for the service, and remembers that it was the service.
struct Wakes {
    woken: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Wakes {
    fn take(&self) -> bool {
        self.woken.swap(false, Ordering::AcqRel)
    }

    fn set_task(&self, waker: &Waker) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *task {
            Some(task) => task.clone_from(waker),
            None => *task = Some(waker.clone()),
        }
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // First the flag, then the task: whoever is woken sees it.
        self.woken.store(true, Ordering::Release);
        let task = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

/// Runs the service's code. It is not used again after a panic, whatever state that left it in.
fn caught<T>(f: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(f))
        .map_err(|payload| Failure::Service(ServiceError::new(Panicked::new(&*payload).into())))
}

/// So often the other tasks have their turn before handles that have a place and do nothing count as idle.
const PATIENCE: u32 = 32;

/// After so many the worker lets other tasks have their turn.
const CALLS_PER_POLL: usize = 64;

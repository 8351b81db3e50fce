use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::Semaphore;
use tower_readiness::Purpose;
use tower_service::Service;

use super::future::ResponseFuture;
use super::permits::{Permit, Permits, Wait};

/// Lets at most so many requests be in flight at a time; see the [module](super).
#[derive(Debug)]
pub struct ConcurrencyLimit<T> {
    inner: T,
    wait: Wait,
    /// What `poll_ready` has reserved.
    permit: Option<Permit>,
    /// It was ready when it was driven, without reserving anything.
    driven: bool,
}

impl<T> ConcurrencyLimit<T> {
    /// At most `max` requests to `inner` and all clones. With `max` zero the service is never ready.
    pub fn new(inner: T, max: usize) -> Self {
        Self::with_permits(inner, &Permits::new(max))
    }

    /// Each request takes a permit of `semaphore`. If that is closed, the service is never ready again.
    pub fn with_semaphore(inner: T, semaphore: Arc<Semaphore>) -> Self {
        Self::with_permits(inner, &Permits::Tokio(semaphore))
    }

    pub(super) fn with_permits(inner: T, permits: &Permits) -> Self {
        Self {
            inner,
            wait: permits.wait(),
            permit: None,
            driven: false,
        }
    }

    /// The service inside.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// The service inside.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// The service inside.
    pub fn into_inner(self) -> T {
        self.inner
    }
}

impl<S, Request> Service<Request> for ConcurrencyLimit<S>
where
    S: Service<Request>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if Purpose::current() != Purpose::Call {
            self.give_back(cx);
        } else if self.permit.is_none() {
            let permit = ready!(self.wait.poll(cx));
            // There was none, so there is none to be dropped: saves a look at it.
            std::mem::forget(self.permit.replace(permit));
        }
        let polled = self.inner.poll_ready(cx);
        if self.permit.is_none() || !matches!(polled, Poll::Ready(Ok(()))) {
            return self.without_permit(polled);
        }
        polled
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let permit = match self.permit.take() {
            Some(permit) => permit,
            None => self.late_permit(),
        };
        ResponseFuture::new(self.inner.call(request), permit)
    }
}

impl<S> ConcurrencyLimit<S> {
    /// There is no request: nothing is reserved, and nothing waited for but to know whether something could be.
    #[cold]
    fn give_back(&mut self, cx: &mut Context<'_>) {
        self.permit = None;
        self.driven = Purpose::current() == Purpose::Drive && self.wait.poll_free(cx).is_ready();
        if Purpose::current() == Purpose::Release {
            self.wait.leave();
        }
    }

    /// The inner service is not ready, or there is no request.
    fn without_permit<E>(&mut self, polled: Poll<Result<(), E>>) -> Poll<Result<(), E>> {
        // Others can use it while the inner service is not ready. It wakes the task when it is, which then waits for its turn
        // again.
        self.permit = None;
        match polled {
            Poll::Ready(Ok(())) if !self.driven => Poll::Pending,
            polled => polled,
        }
    }

    /// The permit of a request that was not polled for. A layer that keeps in mind who is ready may do that after it was
    /// driven.
    #[cold]
    fn late_permit(&mut self) -> Permit {
        assert!(
            std::mem::take(&mut self.driven),
            "service not ready; poll_ready must be called first"
        );
        self.wait.take_or_owe()
    }
}

impl<T: Clone> Clone for ConcurrencyLimit<T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            wait: self.wait.again(),
            permit: None,
            driven: false,
        }
    }
}

#[cfg(feature = "load")]
impl<S: tower_load::Load> tower_load::Load for ConcurrencyLimit<S> {
    type Metric = S::Metric;

    fn load(&self) -> S::Metric {
        self.inner.load()
    }

    fn relative_weight(load: &Self) -> u32 {
        S::relative_weight(&load.inner)
    }
}

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep};
use tower_service::Service;

use super::Rate;
use super::window::{Taken, Window};

/// Lets at most so many requests through in a period; see the [module](super).
#[derive(Debug)]
pub struct RateLimit<T> {
    inner: T,
    share: Share,
    /// Until the next period. Made when it is first needed, then used again.
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

/// One handle's part in the limit. Dropping it gives back what is reserved.
#[derive(Debug)]
struct Share {
    window: Arc<Mutex<Window>>,
    /// What `poll_ready` has reserved.
    taken: Option<Taken>,
}

impl<T> RateLimit<T> {
    /// Lets requests to `inner` and all clones through at `rate`.
    pub fn new(inner: T, rate: Rate) -> Self {
        Self::with_window(inner, Arc::new(Mutex::new(Window::new(rate))))
    }

    pub(super) fn with_window(inner: T, window: Arc<Mutex<Window>>) -> Self {
        Self {
            inner,
            share: Share {
                window,
                taken: None,
            },
            timer: None,
            waiting: false,
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

    fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<Taken> {
        loop {
            let taken = self.share.lock().take(Instant::now);
            let next = match taken {
                Ok(taken) => {
                    self.waiting = false;
                    return Poll::Ready(taken);
                }
                Err(next) => next,
            };
            // Another handle may have begun the next period, and used it up: the timer runs until the one after.
            match &mut self.timer {
                Some(timer) if self.waiting && timer.deadline() == next => {}
                Some(timer) => timer.as_mut().reset(next),
                None => self.timer = Some(Box::pin(tokio::time::sleep_until(next))),
            }
            self.waiting = true;
            if let Some(timer) = &mut self.timer {
                ready!(timer.as_mut().poll(cx));
            }
            self.waiting = false;
        }
    }
}

impl<S, Request> Service<Request> for RateLimit<S>
where
    S: Service<Request>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if self.share.taken.is_none() {
            self.share.taken = Some(ready!(self.poll_take(cx)));
        }
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> S::Future {
        assert!(
            self.share.taken.take().is_some(),
            "service not ready; poll_ready must be called first"
        );
        self.inner.call(request)
    }
}

impl<T: Clone> Clone for RateLimit<T> {
    fn clone(&self) -> Self {
        Self::with_window(self.inner.clone(), Arc::clone(&self.share.window))
    }
}

#[cfg(feature = "load")]
impl<S: tower_load::Load> tower_load::Load for RateLimit<S> {
    type Metric = S::Metric;

    fn load(&self) -> S::Metric {
        self.inner.load()
    }

    fn relative_weight(load: &Self) -> u32 {
        S::relative_weight(&load.inner)
    }
}

impl Share {
    fn lock(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(taken) = &self.taken {
            self.lock().give_back(taken);
        }
    }
}

use std::task::{Context, Poll};

use tower_readiness::{Purpose, event, release};
use tower_service::Service;

use super::future::ResponseFuture;
use crate::BoxError;

/// Rejects requests while the inner service is not ready; see the [module](super).
#[derive(Debug)]
pub struct LoadShed<S> {
    inner: S,
    /// Whether the inner service was ready at the last poll.
    is_ready: bool,
}

impl<S> LoadShed<S> {
    /// Wraps `inner`, rejecting requests while it is not ready.
    pub const fn new(inner: S) -> Self {
        Self {
            inner,
            is_ready: false,
        }
    }

    /// Returns a reference to the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, Req> Service<Req> for LoadShed<S>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.is_ready = match self.inner.poll_ready(cx) {
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
            Poll::Ready(Ok(())) => true,
            Poll::Pending => {
                if Purpose::current() == Purpose::Call {
                    // The caller will not wait, so nothing must stay reserved for it.
                    release(&mut self.inner, cx).map_err(Into::into)?;
                }
                false
            }
        };
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        if std::mem::take(&mut self.is_ready) {
            ResponseFuture::called(self.inner.call(request))
        } else {
            event!(DEBUG, "service overloaded: rejecting a request");
            ResponseFuture::overloaded()
        }
    }
}

impl<S: Clone> Clone for LoadShed<S> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone())
    }
}

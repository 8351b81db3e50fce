use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::Verdict;
use crate::BoxError;
use crate::rule::{Endpoint, Rule};

pin_project! {
    /// A running check with its timeout. Resolves to the endpoint and the verdict.
    pub(super) struct Running<F, R>
    where
        R: Rule,
    {
        #[pin]
        check: F,
        #[pin]
        timeout: Sleep,
        endpoint: Arc<Endpoint<R>>,
    }
}

impl<F, R: Rule> Running<F, R> {
    pub(super) fn new(check: F, timeout: Duration, endpoint: Arc<Endpoint<R>>) -> Self {
        let timeout = sleep(timeout);
        Self {
            check,
            timeout,
            endpoint,
        }
    }
}

impl<F, R, E> Future for Running<F, R>
where
    F: Future<Output = Result<Verdict, E>>,
    R: Rule,
    E: Into<BoxError>,
{
    type Output = (Arc<Endpoint<R>>, Verdict);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let verdict = match this.check.poll(cx) {
            Poll::Ready(Ok(verdict)) => verdict,
            Poll::Ready(Err(error)) => {
                let error: BoxError = error.into();
                tracing::debug!(endpoint = ?this.endpoint.membership.key, error, "a health check has failed");
                Verdict::Failing
            }
            Poll::Pending => {
                ready!(this.timeout.poll(cx));
                tracing::debug!(endpoint = ?this.endpoint.membership.key, "a health check has timed out");
                Verdict::Failing
            }
        };
        Poll::Ready((Arc::clone(this.endpoint), verdict))
    }
}

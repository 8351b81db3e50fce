use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::timeout::alarm::Alarm;

use super::interim::Exchange;

pin_project! {
    /// A response future that checks at intervals whether the client is still connected, while the request's body is
    /// incomplete.
    ///
    /// HTTP/2 clients need no check, since their connections are always read.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub(super) struct DetectDisconnect<F> {
        #[pin]
        inner: F,
        // `None` if the request is complete. Boxed to stay small, since the future is moved.
        checks: Option<Box<Checks>>,
    }
}

#[derive(Debug)]
struct Checks {
    exchange: Exchange,
    alarm: Alarm,
}

impl<F> DetectDisconnect<F> {
    /// Wraps `inner`, the response to the request of `exchange`.
    pub(super) fn new(inner: F, exchange: Option<Exchange>) -> Self {
        let checks = exchange.map(|exchange| {
            Box::new(Checks {
                exchange,
                alarm: Alarm::new(Instant::now() + CHECK_INTERVAL),
            })
        });
        Self { inner, checks }
    }
}

impl<F: Future> Future for DetectDisconnect<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let polled = this.inner.poll(cx);
        if polled.is_pending()
            && let Some(checks) = this.checks
        {
            while checks.alarm.poll(cx).is_ready() {
                checks.exchange.check();
                checks.alarm.reset(Instant::now() + CHECK_INTERVAL);
            }
        }
        polled
    }
}

const CHECK_INTERVAL: Duration = Duration::from_secs(1);

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::timeout::alarm::Alarm;

use crate::interim::Exchange;

pin_project! {
    /// A response that is waited for while its request may still come: now and then it is looked whether the client is there.
    ///
    /// A client of HTTP/2 needs no such look, since its connection is always read.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Attended<F> {
        #[pin]
        inner: F,
        // `None` if the request has come whole.
        exchange: Option<Exchange>,
        alarm: Option<Alarm>,
    }
}

impl<F> Attended<F> {
    /// The response `inner` to the request of `exchange`.
    pub const fn new(inner: F, exchange: Option<Exchange>) -> Self {
        Self {
            inner,
            exchange,
            alarm: None,
        }
    }
}

impl<F: Future> Future for Attended<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let polled = this.inner.poll(cx);
        let Some(exchange) = this.exchange.as_ref().filter(|_| polled.is_pending()) else {
            return polled;
        };
        let next = || Instant::now() + BETWEEN_LOOKS;
        let alarm = this.alarm.get_or_insert_with(|| Alarm::new(next()));
        while alarm.poll(cx).is_ready() {
            exchange.look();
            alarm.reset(next());
        }
        polled
    }
}

const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

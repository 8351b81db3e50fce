use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::timeout::alarm::Alarm;

use super::interim::Exchange;

pin_project! {
    /// A response that is waited for while its request may still come: now and then it is looked whether the client is there.
    ///
    /// An HTTP/2 client needs no such look, since its connection is always read.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub(super) struct Attended<F> {
        #[pin]
        inner: F,
        // `None` if the request has come whole. In little room, since the future is moved.
        looks: Option<Box<Looks>>,
    }
}

#[derive(Debug)]
struct Looks {
    exchange: Exchange,
    alarm: Alarm,
}

impl<F> Attended<F> {
    /// The response `inner` to the request of `exchange`.
    pub(super) fn new(inner: F, exchange: Option<Exchange>) -> Self {
        let looks = exchange.map(|exchange| {
            Box::new(Looks {
                exchange,
                alarm: Alarm::new(Instant::now() + BETWEEN_LOOKS),
            })
        });
        Self { inner, looks }
    }
}

impl<F: Future> Future for Attended<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let polled = this.inner.poll(cx);
        if polled.is_pending()
            && let Some(looks) = this.looks
        {
            while looks.alarm.poll(cx).is_ready() {
                looks.exchange.look();
                looks.alarm.reset(Instant::now() + BETWEEN_LOOKS);
            }
        }
        polled
    }
}

const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

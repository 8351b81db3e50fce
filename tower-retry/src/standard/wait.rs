use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::Instant;
use tower_timeout::alarm::Alarm;

/// The wait before a further attempt: the [`Policy::Future`](crate::Policy::Future) of [`RetryPolicy`](crate::RetryPolicy).
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Wait(Option<Alarm>);

impl Wait {
    pub(super) fn until(end: Instant, now: Instant) -> Self {
        Self((end > now).then(|| Alarm::new(end)))
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(alarm) => alarm.poll(cx),
            None => Poll::Ready(()),
        }
    }
}

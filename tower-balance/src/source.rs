//! What stands between a discovery and whoever polls it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_discover::{Change, Discover};

pin_project! {
    /// A discovery that is not polled again after its end, and whose errors come at most once in a [`PAUSE`].
    ///
    /// Errors are survived, so that a discovery which has nothing else to say would keep the task busy, and ask its name
    /// server as fast as that can fail. An error that comes too early is held back, and the discovery is not polled
    /// meanwhile. Outside of a tokio runtime, where there are no timers, errors come as they do.
    ///
    /// Of several of these one inside another, the innermost waits, and the others go on: what is between them, such as
    /// the timers of health, does not stand still.
    pub(crate) struct Source<D, E = <D as Discover>::Error>
    where
        D: Discover,
    {
        #[pin]
        discover: D,
        ended: bool,
        failed_at: Option<Instant>,
        // As an `E`, so that a balancer is `Send` whatever the discovery's own error.
        held: Option<Held<E>>,
    }
}

struct Held<E> {
    error: E,
    timer: Pin<Box<Sleep>>,
}

type Found<D> = Change<<D as Discover>::Key, <D as Discover>::Service>;

impl<D, E> Source<D, E>
where
    D: Discover,
{
    pub(crate) const fn new(discover: D) -> Self {
        Self {
            discover,
            ended: false,
            failed_at: None,
            held: None,
        }
    }

    /// Whether the discovery has ended.
    pub(crate) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// The next change; `None` after the end.
    #[inline]
    pub(crate) fn poll_change(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Found<D>, E>>>
    where
        D::Error: Into<E>,
    {
        let this = self.project();
        if *this.ended {
            return Poll::Ready(None);
        }
        if let Some(held) = this.held {
            ready!(held.timer.as_mut().poll(cx));
            *this.failed_at = Some(Instant::now());
            return Poll::Ready(this.held.take().map(|held| Err(held.error)));
        }
        match ready!(this.discover.poll_discover(cx)) {
            Some(Ok(change)) => Poll::Ready(Some(Ok(change))),
            Some(Err(error)) => {
                let error = error.into();
                let now = Instant::now();
                let due = this.failed_at.map_or(now, |failed_at| failed_at + PAUSE);
                if due <= now || Handle::try_current().is_err() {
                    *this.failed_at = Some(now);
                    return Poll::Ready(Some(Err(error)));
                }
                let mut timer = Box::pin(sleep_until(due));
                // It is not due, and has to wake the task.
                let _pending = timer.as_mut().poll(cx);
                *this.held = Some(Held { error, timer });
                Poll::Pending
            }
            None => {
                *this.ended = true;
                Poll::Ready(None)
            }
        }
    }
}

impl<D, E> fmt::Debug for Source<D, E>
where
    D: Discover + fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.discover.fmt(f)
    }
}

/// Errors come no faster than that: soon enough to see that discovery works again, and slow enough for logs and name
/// servers.
const PAUSE: Duration = Duration::from_secs(1);

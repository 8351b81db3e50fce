use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{Change, Discover};

pin_project! {
    /// A discovery that is not polled again after its end, and whose errors are at least a second apart.
    ///
    /// For what polls a discovery: a balancer, or a wrapper around the discovery. A balancer continues after an error. So
    /// a discovery that yields only errors would keep the task busy, or send lookups as fast as they fail. An error that
    /// comes too early is delayed, and the discovery is not polled meanwhile. Outside of a tokio runtime there is no timer
    /// for this, and errors are passed on immediately.
    ///
    /// Each wrapper around a discovery has a `Paced`, and so has the balancer. The innermost one already spaces out
    /// the errors, so the outer ones never delay any, and the wrappers, with their timers and checks, are polled while
    /// the innermost waits.
    ///
    /// The errors are converted into an `E`, for example to make a balancer `Send` whatever the discovery's own error.
    ///
    /// # Cost
    ///
    /// A branch per poll. After an error a reading of the clock, and an allocation if the error is delayed.
    pub struct Paced<D, E = <D as Discover>::Error>
    where
        D: Discover,
    {
        #[pin]
        discover: D,
        failed_at: Option<Instant>,
        state: State<E>,
    }
}

enum State<E> {
    Open,
    /// An error is delayed. As an `E`, so that a balancer is `Send` whatever the discovery's own error.
    Held {
        error: E,
        timer: Pin<Box<Sleep>>,
    },
    Ended,
}

type Found<D> = Change<<D as Discover>::Key, <D as Discover>::Service>;

impl<D, E> Paced<D, E>
where
    D: Discover,
{
    /// Wraps `discover`; the time between errors is not configurable.
    pub const fn new(discover: D) -> Self {
        Self {
            discover,
            failed_at: None,
            state: State::Open,
        }
    }

    /// Whether the discovery has ended.
    pub const fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Polls for the next change; returns `None` after the end.
    #[inline]
    pub fn poll_change(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Found<D>, E>>>
    where
        D::Error: Into<E>,
    {
        let this = self.project();
        if !matches!(this.state, State::Open) {
            let error = poll_closed(this.failed_at, this.state, cx);
            return error.map(|error| error.map(Err));
        }
        match ready!(this.discover.poll_discover(cx)) {
            Some(Ok(change)) => Poll::Ready(Some(Ok(change))),
            Some(Err(error)) => {
                let error = pass_on(error.into(), this.failed_at, this.state, cx);
                error.map(|error| Some(Err(error)))
            }
            None => {
                *this.state = State::Ended;
                Poll::Ready(None)
            }
        }
    }
}

/// Returns the delayed error when it is due; `None` after the end.
#[cold]
fn poll_closed<E>(
    failed_at: &mut Option<Instant>,
    state: &mut State<E>,
    cx: &mut Context<'_>,
) -> Poll<Option<E>> {
    if let State::Held { timer, .. } = state {
        ready!(timer.as_mut().poll(cx));
        *failed_at = Some(Instant::now());
        // ## Held => Open
        if let State::Held { error, .. } = std::mem::replace(state, State::Open) {
            return Poll::Ready(Some(error));
        }
    }
    Poll::Ready(None)
}

/// Returns the error if it is due, and otherwise delays it.
#[cold]
fn pass_on<E>(
    error: E,
    failed_at: &mut Option<Instant>,
    state: &mut State<E>,
    cx: &mut Context<'_>,
) -> Poll<E> {
    let now = Instant::now();
    let due = failed_at.map_or(now, |failed_at| failed_at + PAUSE);
    if due <= now || Handle::try_current().is_err() {
        *failed_at = Some(now);
        return Poll::Ready(error);
    }
    let mut timer = Box::pin(sleep_until(due));
    // Not due yet: register to be woken.
    let _pending = timer.as_mut().poll(cx);
    // ## Open => Held
    *state = State::Held { error, timer };
    Poll::Pending
}

impl<D, E> fmt::Debug for Paced<D, E>
where
    D: Discover + fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.discover.fmt(f)
    }
}

/// Short enough to notice soon that discovery works again, and long enough for logs and name servers.
const PAUSE: Duration = Duration::from_secs(1);

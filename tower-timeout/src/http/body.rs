use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::BoxError;
use crate::alarm::Alarm;

pin_project! {
    /// A body that may take so long, from one frame to the next and in all.
    ///
    /// The time between frames counts while someone waits for a frame: a reader who does not ask is not the fault of the
    /// sender. The time of the whole body counts from when it was made, whoever lets it pass, and is noticed when a frame is
    /// waited for. A body that trips fails with [`BodyTimedOut`], and is at its end then.
    ///
    /// # Cost
    ///
    /// A frame that is ready costs nothing. One that is waited for costs a reading of the clock, and a timer that an earlier
    /// one has left behind.
    #[derive(Debug)]
    pub struct TimeoutBody<B> {
        #[pin]
        inner: B,
        idle: Option<Duration>,
        idle_alarm: Option<Alarm>,
        total: Option<(Duration, Instant)>,
        total_alarm: Option<Alarm>,
        timed_out: bool,
    }
}

impl<B> TimeoutBody<B> {
    /// A body without timeouts.
    pub const fn new(inner: B) -> Self {
        Self {
            inner,
            idle: None,
            idle_alarm: None,
            total: None,
            total_alarm: None,
            timed_out: false,
        }
    }

    /// Each frame may be waited for so long.
    #[must_use]
    pub fn idle(mut self, timeout: Duration) -> Self {
        self.idle = Some(timeout);
        self
    }

    /// The whole of it may take so long, from now on.
    #[must_use]
    pub fn total(mut self, timeout: Duration) -> Self {
        // A time beyond what the clock can tell never comes.
        self.total = Instant::now()
            .checked_add(timeout)
            .map(|end| (timeout, end));
        self
    }

    /// The body inside.
    pub const fn get_ref(&self) -> &B {
        &self.inner
    }

    /// The body inside.
    pub const fn get_mut(&mut self) -> &mut B {
        &mut self.inner
    }

    /// The body inside.
    pub fn into_inner(self) -> B {
        self.inner
    }
}

impl<B> Body for TimeoutBody<B>
where
    B: Body<Error: Into<BoxError>>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let this = self.project();
        if *this.timed_out {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            *this.idle_alarm = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let timed_out = if poll_alarm(this.total_alarm, this.total.map(|(_, end)| end), cx) {
            this.total.map(|(after, _)| BodyTimedOut::Total(after))
        } else {
            // The clock is read only for a wait that begins.
            let end = match this.idle_alarm {
                Some(_) => None,
                None => this.idle.and_then(|idle| Instant::now().checked_add(idle)),
            };
            let is_idle = poll_alarm(this.idle_alarm, end, cx);
            this.idle.filter(|_| is_idle).map(BodyTimedOut::Idle)
        };
        let Some(timed_out) = timed_out else {
            return Poll::Pending;
        };
        tracing::debug!(%timed_out, "giving up on a body");
        *this.timed_out = true;
        Poll::Ready(Some(Err(timed_out.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.timed_out || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Whether an alarm rings, which is set to `end` if there is none.
fn poll_alarm(alarm: &mut Option<Alarm>, end: Option<Instant>, cx: &mut Context<'_>) -> bool {
    if alarm.is_none() {
        *alarm = end.map(Alarm::new);
    }
    alarm
        .as_mut()
        .is_some_and(|alarm| alarm.poll(cx).is_ready())
}

/// A body took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyTimedOut {
    /// No frame came for so long.
    Idle(Duration),
    /// It did not come to its end within this time.
    Total(Duration),
}

impl fmt::Display for BodyTimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle(after) => write!(f, "nothing of the body came for {after:?}"),
            Self::Total(after) => write!(f, "the body was not complete after {after:?}"),
        }
    }
}

impl std::error::Error for BodyTimedOut {}

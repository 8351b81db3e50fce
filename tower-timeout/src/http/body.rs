use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_readiness::event;

use super::pulse::Pulse;
use crate::alarm::Alarm;
use crate::error::DeadlineExceeded;
use crate::{BoxError, Deadline};

pin_project! {
    /// A body with an idle timeout, and a timeout or a deadline of the whole body.
    ///
    /// The idle timeout runs from a pending poll to the next frame: a slow reader does not trip it. The timeout of the
    /// whole body runs from when it is set, even while the body is not polled. It is checked when a frame is not ready, and
    /// at every 16th frame that is. A body that times out fails with [`BodyTimedOut`] or [`DeadlineExceeded`], and then ends.
    ///
    /// # Cost
    ///
    /// A body with a timeout takes one allocation; without one it takes none. A frame that is ready at the first poll costs
    /// no clock reading, except every 16th if the whole body has a timeout. A wait reads the clock once and uses a pooled
    /// timer.
    #[derive(Debug)]
    pub struct TimeoutBody<B> {
        #[pin]
        inner: B,
        // `None` without timeouts. Behind a pointer, since the layers above move a body again and again with its message.
        bounds: Option<Box<Bounds>>,
    }
}

#[derive(Debug, Default)]
struct Bounds {
    idle: Option<Duration>,
    idle_alarm: Option<Alarm>,
    pulse: Option<Pulse>,
    end: Option<End>,
    end_alarm: Option<Alarm>,
    /// The number of frames that were ready when polled.
    frames: u8,
    timed_out: bool,
}

/// When the whole body must be complete.
#[derive(Clone, Copy, Debug)]
enum End {
    Total(Duration, Instant),
    Deadline(Deadline),
}

impl<B> TimeoutBody<B> {
    /// A body without timeouts.
    pub const fn new(inner: B) -> Self {
        Self {
            inner,
            bounds: None,
        }
    }

    fn bounds(&mut self) -> &mut Bounds {
        self.bounds.get_or_insert_default()
    }

    /// Sets the idle timeout: how long to wait for each frame.
    #[must_use]
    pub fn idle(mut self, timeout: Duration) -> Self {
        self.bounds().idle = Some(timeout);
        self
    }

    /// Restarts the idle timeout when a clone of `pulse` has counted a frame, such as a frame of the opposite
    /// direction.
    #[must_use]
    pub fn pulse(mut self, pulse: Pulse) -> Self {
        self.bounds().pulse = Some(pulse);
        self
    }

    /// Sets the timeout of the whole body, from now.
    #[must_use]
    pub fn total(mut self, timeout: Duration) -> Self {
        // An end that the clock cannot represent means no timeout.
        if let Some(at) = Instant::now().checked_add(timeout) {
            self.bounds().set_end(End::Total(timeout, at));
        }
        self
    }

    /// Sets a deadline for the whole body: the deadline of its request.
    #[must_use]
    pub fn deadline(mut self, deadline: Deadline) -> Self {
        self.bounds().set_end(End::Deadline(deadline));
        self
    }

    /// Returns the idle timeout, or `None` if there is none.
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.bounds.as_ref()?.idle
    }

    /// Returns when the whole body times out, or `None` if it does not. A body that is not polled does not time
    /// out: its holder must check the time.
    pub fn end(&self) -> Option<Instant> {
        self.bounds.as_ref()?.end.map(End::instant)
    }

    /// Returns a reference to the inner body.
    pub const fn get_ref(&self) -> &B {
        &self.inner
    }

    /// Returns a mutable reference to the inner body.
    pub const fn get_mut(&mut self) -> &mut B {
        &mut self.inner
    }

    /// Consumes `self`, returning the inner body.
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
        let Some(bounds) = this.bounds else {
            let frame = ready!(this.inner.poll_frame(cx));
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        };
        if bounds.timed_out {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            return Poll::Ready(match bounds.count_frame() {
                Some(end) if frame.is_some() => Some(Err(bounds.trip(end.error()))),
                _ => frame.map(|frame| frame.map_err(Into::into)),
            });
        }
        let error = ready!(bounds.poll(cx));
        event!(DEBUG, error, "a body timed out");
        Poll::Ready(Some(Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        let timed_out = self.bounds.as_ref().is_some_and(|bounds| bounds.timed_out);
        timed_out || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Bounds {
    /// Sets the end of the whole body, unless an earlier one is set.
    fn set_end(&mut self, end: End) {
        if self
            .end
            .is_none_or(|before| end.instant() < before.instant())
        {
            self.end = Some(end);
        }
    }

    /// Counts a frame, or the end of the body. Returns the end of the whole body's time, if that is checked and has passed.
    fn count_frame(&mut self) -> Option<End> {
        self.idle_alarm = None;
        if let Some(pulse) = &self.pulse {
            pulse.beat();
        }
        self.frames = self.frames.wrapping_add(1);
        let end = self.end.filter(|_| self.frames.is_multiple_of(16))?;
        (end.instant() <= Instant::now()).then_some(end)
    }

    /// Polls the timers, while no frame is ready.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<BoxError> {
        if let Some(end) = self.end
            && poll_alarm(&mut self.end_alarm, Some(end.instant()), cx)
        {
            return Poll::Ready(self.trip(end.error()));
        }
        match self.idle {
            Some(idle) if poll_idle(&mut self.idle_alarm, self.pulse.as_mut(), idle, cx) => {
                Poll::Ready(self.trip(BodyTimedOut::Idle(idle).into()))
            }
            _ => Poll::Pending,
        }
    }

    fn trip(&mut self, error: BoxError) -> BoxError {
        self.timed_out = true;
        error
    }
}

impl End {
    fn error(self) -> BoxError {
        match self {
            Self::Total(after, _) => BodyTimedOut::Total(after).into(),
            Self::Deadline(deadline) => DeadlineExceeded::new(Some(deadline)).into(),
        }
    }

    const fn instant(self) -> Instant {
        match self {
            Self::Total(_, at) => at,
            Self::Deadline(deadline) => deadline.instant(),
        }
    }
}

/// Whether the idle timeout has expired: no frame for `idle`, neither of this body nor counted by the pulse.
fn poll_idle(
    alarm: &mut Option<Alarm>,
    mut pulse: Option<&mut Pulse>,
    idle: Duration,
    cx: &mut Context<'_>,
) -> bool {
    loop {
        let mut end = None;
        if alarm.is_none() {
            // The clock is read only when a wait begins.
            end = Instant::now().checked_add(idle);
            if let Some(pulse) = &mut pulse {
                pulse.has_beaten();
            }
        }
        if !poll_alarm(alarm, end, cx) {
            return false;
        }
        if !pulse.as_mut().is_some_and(|pulse| pulse.has_beaten()) {
            return true;
        }
        *alarm = None;
    }
}

/// Whether the alarm has fired. If there is none, sets one to `end`.
fn poll_alarm(alarm: &mut Option<Alarm>, end: Option<Instant>, cx: &mut Context<'_>) -> bool {
    if alarm.is_none() {
        *alarm = end.map(Alarm::new);
    }
    alarm
        .as_mut()
        .is_some_and(|alarm| alarm.poll(cx).is_ready())
}

/// The error of a body that timed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyTimedOut {
    /// No frame was received for this time, the idle timeout.
    Idle(Duration),
    /// The body was not complete within this time.
    Total(Duration),
}

impl fmt::Display for BodyTimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle(after) => write!(f, "no frame of the body was received for {after:?}"),
            Self::Total(after) => write!(f, "the body was not complete after {after:?}"),
        }
    }
}

impl std::error::Error for BodyTimedOut {}

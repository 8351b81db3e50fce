use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::pulse::Pulse;
use crate::alarm::Alarm;
use crate::error::DeadlineExceeded;
use crate::{BoxError, Deadline};

pin_project! {
    /// A body with an idle timeout between frames and a timeout or deadline for the whole body.
    ///
    /// The idle timeout runs only while the reader waits for a frame, so that a slow reader does not time out the
    /// sender. The timeout of the whole body runs from when it was set, however the body is read. It is checked while a
    /// frame is waited for, and otherwise at every 16th frame. A body that times out fails with [`BodyTimedOut`], or
    /// with [`DeadlineExceeded`], and then ends.
    ///
    /// # Cost
    ///
    /// A frame that is ready at once costs nothing. A wait reads the clock once and uses a pooled timer.
    #[derive(Debug)]
    pub struct TimeoutBody<B> {
        #[pin]
        inner: B,
        idle: Option<Duration>,
        idle_alarm: Option<Alarm>,
        pulse: Option<Pulse>,
        end: Option<End>,
        end_alarm: Option<Alarm>,
        // The number of frames that were ready when polled.
        frames: u8,
        timed_out: bool,
    }
}

/// When the whole body must be complete.
#[derive(Clone, Copy, Debug)]
enum End {
    Total(Duration, Instant),
    Deadline(Deadline),
}

impl<B> TimeoutBody<B> {
    /// Wraps `inner` without a timeout.
    pub const fn new(inner: B) -> Self {
        Self {
            inner,
            idle: None,
            idle_alarm: None,
            pulse: None,
            end: None,
            end_alarm: None,
            frames: 0,
            timed_out: false,
        }
    }

    /// Sets the idle timeout: how long to wait for each frame.
    #[must_use]
    pub fn idle(mut self, timeout: Duration) -> Self {
        self.idle = Some(timeout);
        self
    }

    /// Restarts the idle timeout when a clone of `pulse` has counted a frame, such as a frame of the opposite
    /// direction.
    #[must_use]
    pub fn pulse(mut self, pulse: Pulse) -> Self {
        self.pulse = Some(pulse);
        self
    }

    /// Sets the timeout of the whole body, from now.
    #[must_use]
    pub fn total(mut self, timeout: Duration) -> Self {
        // A time that the clock cannot represent is no limit.
        if let Some(at) = Instant::now().checked_add(timeout) {
            self.set_end(End::Total(timeout, at));
        }
        self
    }

    /// Fails the body if it is not complete by `deadline`, that of the request that it belongs to.
    #[must_use]
    pub fn deadline(mut self, deadline: Deadline) -> Self {
        self.set_end(End::Deadline(deadline));
        self
    }

    /// Returns the idle timeout, or `None` if there is none.
    pub const fn idle_timeout(&self) -> Option<Duration> {
        self.idle
    }

    /// Returns when the whole body must be complete, or `None` if there is no limit. If nothing polls the body, its
    /// owner has to enforce this.
    pub fn end(&self) -> Option<Instant> {
        self.end.map(End::instant)
    }

    /// The earlier of the two ends applies.
    fn set_end(&mut self, end: End) {
        if self
            .end
            .is_none_or(|before| end.instant() < before.instant())
        {
            self.end = Some(end);
        }
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
        if *this.timed_out {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            *this.idle_alarm = None;
            if let Some(pulse) = this.pulse {
                pulse.beat();
            }
            *this.frames = this.frames.wrapping_add(1);
            let late =
                |end: &End| this.frames.is_multiple_of(16) && end.instant() <= Instant::now();
            return Poll::Ready(match this.end {
                Some(end) if frame.is_some() && late(end) => {
                    *this.timed_out = true;
                    Some(Err(end.error()))
                }
                _ => frame.map(|frame| frame.map_err(Into::into)),
            });
        }
        let error: BoxError = if poll_alarm(this.end_alarm, this.end.map(End::instant), cx) {
            this.end.expect("it has an alarm").error()
        } else {
            match this.idle {
                Some(idle) if poll_idle(this.idle_alarm, this.pulse.as_mut(), *idle, cx) => {
                    BodyTimedOut::Idle(*idle).into()
                }
                _ => return Poll::Pending,
            }
        };
        tracing::debug!(error, "body timed out");
        *this.timed_out = true;
        Poll::Ready(Some(Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.timed_out || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
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

/// Whether no frame came for `idle`, from this body or the pulse.
fn poll_idle(
    alarm: &mut Option<Alarm>,
    mut pulse: Option<&mut Pulse>,
    idle: Duration,
    cx: &mut Context<'_>,
) -> bool {
    loop {
        let mut end = None;
        if alarm.is_none() {
            // The clock is read only for a wait that begins.
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

/// Whether the alarm has fired; it is set to `end` if there is none yet.
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
    /// No frame came within the idle timeout.
    Idle(Duration),
    /// The body was not complete within its timeout.
    Total(Duration),
}

impl fmt::Display for BodyTimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle(after) => write!(f, "no body frame came for {after:?}"),
            Self::Total(after) => write!(f, "the body was not complete after {after:?}"),
        }
    }
}

impl std::error::Error for BodyTimedOut {}

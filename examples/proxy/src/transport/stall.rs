//! Limits the time that a body waits for its reader.
//!
//! A body's own timers run only while it is polled. When the peer that receives the body does not read, hyper does not
//! poll the body, and no timer of the body can fire. So the task that sends a body is a [`StallTimeout`] future: whenever
//! the body returns a frame, it [leaves a note](handed) of the time within which the task must come back for the next
//! one. If it does not, `StallTimeout` ends the task and drops all that the body holds.
//!
//! Notes are stored in a thread local, because only hyper is between the body and its task: a body that returns a frame
//! is always inside the `poll` of the task that sends it. A note of a few words per frame costs next to nothing, and a
//! timer is set only if the task then has to wait.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::timeout::alarm::Alarm;

use super::limits::Limits;
use super::upload::Upload;

#[derive(Default)]
struct Notes {
    body: Note,
    progress: bool,
}

#[derive(Default)]
enum Note {
    #[default]
    Nothing,
    Handed(Limits, Option<Arc<Upload>>),
    Waits,
}

thread_local! {
    static NOTES: Cell<Notes> = const { Cell::new(Notes { body: Note::Nothing, progress: false }) };
    /// Whether there are notes, since most polls leave none.
    static ANY: Cell<bool> = const { Cell::new(false) };
}

impl Notes {
    /// Takes the notes of this thread, if there are any.
    fn take() -> Option<Self> {
        // An exiting thread sends nothing any more.
        let any = ANY.take();
        any.then(|| NOTES.try_with(Cell::take).ok()).flatten()
    }

    fn put(self) {
        let _ = NOTES.try_with(|notes| notes.set(self));
        ANY.set(true);
    }
}

fn leave(note: Note) {
    let progress = Notes::take().is_some_and(|notes| notes.progress);
    let body = note;
    Notes { body, progress }.put();
}

/// Reports that a body has returned a frame, and must be polled for the next one within these limits. If it is not, its
/// `upload` is marked as stalled and its task ends.
pub fn handed(limits: Limits, upload: Option<&Arc<Upload>>) {
    leave(Note::Handed(limits, upload.cloned()));
}

/// Reports that a body is pending or has ended: its own timers apply.
pub fn waits() {
    leave(Note::Waits);
}

/// Reports that the peer has read bytes, even if slowly.
pub fn progress() {
    let body = Notes::take().unwrap_or_default().body;
    let progress = true;
    Notes { body, progress }.put();
}

pin_project! {
    /// A future for a task that sends bodies. It ends when one of them is not polled in time; see the [module](self).
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct StallTimeout<F> {
        #[pin]
        inner: F,
        watch: Watch,
    }
}

/// The task ended because it did not poll a body in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stalled;

#[derive(Default)]
struct Watch {
    limits: Limits,
    since: Option<Instant>,
    upload: Option<Arc<Upload>>,
    alarm: Option<Alarm>,
}

impl<F> StallTimeout<F> {
    /// Watches the bodies that `inner` polls.
    pub fn new(inner: F) -> Self {
        Self {
            inner,
            watch: Watch::default(),
        }
    }

    /// Like [`new`](Self::new), but if a body was polled on this thread just before and continues in `inner`, its note
    /// is taken over. The upload of that body is returned as well.
    pub fn adopting(inner: F) -> (Self, Option<Arc<Upload>>) {
        let mut task = Self::new(inner);
        if let Some(notes) = Notes::take() {
            task.watch.read(notes);
        }
        let upload = task.watch.upload.clone();
        (task, upload)
    }

    /// Returns the inner future.
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Pin<&mut F> {
        self.project().inner
    }
}

impl<F: Future> Future for StallTimeout<F> {
    type Output = Result<F::Output, Stalled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let before = Notes::take();
        let polled = this.inner.poll(cx);
        if let Some(notes) = Notes::take() {
            this.watch.read(notes);
        }
        if let Some(before) = before {
            before.put();
        }
        match polled {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending if this.watch.is_over(cx) => Poll::Ready(Err(Stalled)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Watch {
    fn read(&mut self, notes: Notes) {
        match notes.body {
            Note::Handed(limits, upload) => {
                (self.limits, self.upload, self.since) = (limits, upload, None);
            }
            Note::Waits => (self.limits, self.upload) = (Limits::default(), None),
            Note::Nothing if notes.progress => self.since = None,
            Note::Nothing => {}
        }
    }

    /// Returns whether a body was not polled in time. If not, the task is woken when that happens.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        if self.limits == Limits::default() {
            return false;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        let Some(deadline) = self.limits.deadline(since) else {
            return false;
        };
        let alarm = self.alarm.get_or_insert_with(|| Alarm::new(deadline));
        alarm.reset(deadline);
        if alarm.poll(cx).is_pending() {
            return false;
        }
        tracing::debug!(limits = ?self.limits, "giving up on a peer that does not read");
        if let Some(upload) = self.upload.take() {
            upload.stalled();
        }
        true
    }
}

impl<F> fmt::Debug for StallTimeout<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StallTimeout")
            .field("limits", &self.watch.limits)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::time::Duration;

    use super::*;

    const IDLE: Duration = Duration::from_secs(5);

    fn idle() -> Limits {
        Limits {
            idle: Some(IDLE),
            end: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ends_a_task_that_does_not_poll_for_the_next_frame() {
        let start = Instant::now();
        let mut handed_out = false;
        let stuck = poll_fn(|_| {
            if !std::mem::replace(&mut handed_out, true) {
                handed(idle(), None);
            }
            Poll::<()>::Pending
        });
        assert_eq!(StallTimeout::new(stuck).await, Err(Stalled));
        assert_eq!(start.elapsed().as_secs(), IDLE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn keeps_a_task_whose_body_is_pending_or_has_ended() {
        for first in [None, Some(idle())] {
            let mut first = first;
            let waiting = poll_fn(|_| {
                if let Some(limits) = first.take() {
                    handed(limits, None);
                }
                waits();
                Poll::<()>::Pending
            });
            let task = tokio::time::timeout(100 * IDLE, StallTimeout::new(waiting));
            assert!(task.await.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_slowly_restarts_the_idle_timeout() {
        let start = Instant::now();
        let mut tick = tokio::time::interval(IDLE * 4 / 5);
        let (mut ticks, mut handed_out) = (0, false);
        let slow = poll_fn(|cx| {
            if !std::mem::replace(&mut handed_out, true) {
                handed(idle(), None);
            }
            while ticks < 10 && tick.poll_tick(cx).is_ready() {
                ticks += 1;
                progress();
            }
            Poll::<()>::Pending
        });
        assert_eq!(StallTimeout::new(slow).await, Err(Stalled));
        // Nine times four seconds, and then five without progress.
        assert_eq!(start.elapsed().as_secs(), 41);
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_of_the_body_applies_whatever_the_progress() {
        let start = Instant::now();
        let limits = Limits {
            idle: Some(IDLE),
            end: Some(start + 3 * IDLE),
        };
        let mut tick = tokio::time::interval(IDLE / 2);
        let trickling = poll_fn(|cx| {
            while tick.poll_tick(cx).is_ready() {
                handed(limits, None);
            }
            Poll::<()>::Pending
        });
        assert_eq!(StallTimeout::new(trickling).await, Err(Stalled));
        assert_eq!(start.elapsed().as_secs(), 3 * IDLE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_takes_over_the_note_of_its_body() {
        handed(idle(), None);
        let (task, _) = StallTimeout::adopting(pending::<()>());
        assert_eq!(task.await, Err(Stalled));
        let (task, _) = StallTimeout::adopting(pending::<()>());
        assert!(tokio::time::timeout(100 * IDLE, task).await.is_err());
    }
}

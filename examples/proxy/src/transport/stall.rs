//! Bounds the time that a body waits for its reader.
//!
//! A body's own timers run while it is polled. When the peer that the body goes to does not read, hyper does not poll it,
//! and no timer of the body can fire. So the task that sends a body is a [`Patient`] future: whenever the body hands out a
//! frame it [leaves a note](handed) of how long the task may take to come back for the next one, and `Patient` ends the
//! task, and with it all that the body holds, when it does not.
//!
//! Notes are left on the thread, because between the body and its task there is only hyper: a body that hands out a frame
//! is always inside of the `poll` of the task that sends it. One note of a few words per frame costs nothing to speak of,
//! and a timer is set only when the task then has to wait.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::timeout::alarm::Alarm;

use crate::transport::upload::Upload;

/// How long a task may keep a body waiting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Between one frame and the next.
    pub idle: Option<Duration>,
    /// For the whole body.
    pub end: Option<Instant>,
}

impl Limits {
    fn deadline(self, since: Instant) -> Option<Instant> {
        let idle = self.idle.and_then(|idle| since.checked_add(idle));
        idle.into_iter().chain(self.end).min()
    }
}

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
}

fn leave(note: Note) {
    // A thread that ends sends nothing any more.
    let _ = NOTES.try_with(|notes| {
        let progress = notes.take().progress;
        notes.set(Notes {
            body: note,
            progress,
        });
    });
}

/// A body has handed out a frame, and is to be asked for the next one within these limits. If it is not, its `upload` is
/// told so, and its task ends.
pub fn handed(limits: Limits, upload: Option<&Arc<Upload>>) {
    leave(Note::Handed(limits, upload.cloned()));
}

/// A body has nothing to hand out, or nothing any more: it waits itself, with timers of its own.
pub fn waits() {
    leave(Note::Waits);
}

/// The peer has taken bytes: it is slow perhaps, but it reads.
pub fn progress() {
    let _ = NOTES.try_with(|notes| {
        let body = notes.take().body;
        notes.set(Notes {
            body,
            progress: true,
        });
    });
}

pin_project! {
    /// A task that sends bodies, and ends when one of them is kept waiting for too long; see the [module](self).
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Patient<F> {
        #[pin]
        inner: F,
        watch: Watch,
    }
}

/// The task was ended because it kept a body waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stalled;

#[derive(Default)]
struct Watch {
    limits: Limits,
    since: Option<Instant>,
    upload: Option<Arc<Upload>>,
    alarm: Option<Alarm>,
}

impl<F> Patient<F> {
    /// Watches the bodies that `inner` polls.
    pub fn new(inner: F) -> Self {
        Self {
            inner,
            watch: Watch::default(),
        }
    }

    /// As [`new`](Self::new); if a body was polled on this thread just before and goes on in `inner`, its note is taken
    /// over. With the note comes the upload that the body belongs to.
    pub fn adopting(inner: F) -> (Self, Option<Arc<Upload>>) {
        let mut patient = Self::new(inner);
        patient.watch.read(NOTES.take());
        let upload = patient.watch.upload.clone();
        (patient, upload)
    }

    /// The future inside.
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Pin<&mut F> {
        self.project().inner
    }
}

impl<F: Future> Future for Patient<F> {
    type Output = Result<F::Output, Stalled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let before = NOTES.take();
        let polled = this.inner.poll(cx);
        this.watch.read(NOTES.replace(before));
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

    /// Whether the task has kept its body waiting for too long. If not, it is woken when it has.
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

impl<F> fmt::Debug for Patient<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patient")
            .field("limits", &self.watch.limits)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};

    use super::*;

    const IDLE: Duration = Duration::from_secs(5);

    fn idle() -> Limits {
        Limits {
            idle: Some(IDLE),
            end: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ends_a_task_that_does_not_come_back_for_the_next_frame() {
        let start = Instant::now();
        let mut handed_out = false;
        let stuck = poll_fn(|_| {
            if !std::mem::replace(&mut handed_out, true) {
                handed(idle(), None);
            }
            Poll::<()>::Pending
        });
        assert_eq!(Patient::new(stuck).await, Err(Stalled));
        assert_eq!(start.elapsed().as_secs(), IDLE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn leaves_alone_a_task_whose_body_waits_or_has_ended() {
        for first in [None, Some(idle())] {
            let mut first = first;
            let waiting = poll_fn(|_| {
                if let Some(limits) = first.take() {
                    handed(limits, None);
                }
                waits();
                Poll::<()>::Pending
            });
            let patient = tokio::time::timeout(100 * IDLE, Patient::new(waiting));
            assert!(patient.await.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_slowly_has_the_time_anew() {
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
        assert_eq!(Patient::new(slow).await, Err(Stalled));
        // Nine times four seconds, and then five without progress.
        assert_eq!(start.elapsed().as_secs(), 41);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_whole_body_counts_whatever_the_progress() {
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
        assert_eq!(Patient::new(trickling).await, Err(Stalled));
        assert_eq!(start.elapsed().as_secs(), 3 * IDLE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_takes_over_the_note_of_the_body_that_it_goes_on_with() {
        handed(idle(), None);
        let (patient, _) = Patient::adopting(pending::<()>());
        assert_eq!(patient.await, Err(Stalled));
        let (patient, _) = Patient::adopting(pending::<()>());
        assert!(tokio::time::timeout(100 * IDLE, patient).await.is_err());
    }
}

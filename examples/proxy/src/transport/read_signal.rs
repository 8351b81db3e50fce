//! Tells whether it is worth trying to read from a socket.
//!
//! hyper tries to read several times for each message, mostly in vain, and the runtime takes its time to say so. But a
//! read that is pending remains so until it wakes its task.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use crate::lock::lock;

/// The waker of the reads of one socket.
#[derive(Debug)]
pub(super) struct ReadSignal {
    signal: Arc<Signal>,
    /// `signal`, as a waker for the socket.
    waker: Waker,
    /// The task that `signal` wakes.
    task: Option<Waker>,
    /// Whether the last read was pending.
    is_pending: bool,
}

#[derive(Debug, Default)]
struct Signal {
    /// Whether the socket was woken since it was last read.
    woken: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl ReadSignal {
    pub(super) fn new() -> Self {
        let signal = Arc::<Signal>::default();
        Self {
            waker: Arc::clone(&signal).into(),
            signal,
            task: None,
            is_pending: false,
        }
    }

    /// Polls `read`, unless it was pending the last time and has not woken this task since.
    pub(super) fn poll<T>(
        &mut self,
        cx: &Context<'_>,
        read: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let is_same = |task: &Waker| task.will_wake(cx.waker());
        if !self.task.as_ref().is_some_and(is_same) {
            self.set_task(cx.waker());
        // A wake-up that is not visible here has not woken the task yet, and will.
        } else if self.is_pending && !self.signal.woken.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        // Before the read, so that a later wake-up is noticed.
        self.signal.woken.swap(false, Ordering::AcqRel);
        let polled = read(&mut Context::from_waker(&self.waker));
        self.is_pending = polled.is_pending();
        polled
    }

    #[cold]
    fn set_task(&mut self, task: &Waker) {
        self.task = Some(task.clone());
        let outdated = lock(&self.signal.task).replace(task.clone());
        drop(outdated);
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // A swap, as before the read, so that they are ordered: one of them sees the other.
        self.woken.swap(true, Ordering::AcqRel);
        let task = lock(&self.task).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Count {
        fn take(&self) -> usize {
            self.0.swap(0, Ordering::Relaxed)
        }
    }

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Polls a read with this result, and returns the waker that it got, or `None` if it was not tried.
    fn read(signal: &mut ReadSignal, task: &Arc<Count>, result: Poll<()>) -> Option<Waker> {
        let mut seen = None;
        let task = Waker::from(Arc::clone(task));
        let polled = signal.poll(&Context::from_waker(&task), |cx| {
            seen = Some(cx.waker().clone());
            result
        });
        assert!(seen.is_some() || polled.is_pending());
        seen
    }

    #[test]
    fn a_pending_read_is_tried_again_once_its_task_was_woken() {
        let task = Arc::new(Count::default());
        let mut signal = ReadSignal::new();
        assert!(read(&mut signal, &task, Poll::Ready(())).is_some());
        let waker = read(&mut signal, &task, Poll::Pending).unwrap();
        assert!(read(&mut signal, &task, Poll::Pending).is_none());
        waker.wake();
        assert_eq!(task.take(), 1);
        assert!(read(&mut signal, &task, Poll::Pending).is_some());
        assert!(read(&mut signal, &task, Poll::Pending).is_none());
    }

    #[test]
    fn another_task_tries_again_and_is_woken() {
        let (one, two) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let mut signal = ReadSignal::new();
        assert!(read(&mut signal, &one, Poll::Pending).is_some());
        let waker = read(&mut signal, &two, Poll::Pending).unwrap();
        waker.wake();
        assert_eq!((one.take(), two.take()), (0, 1));
        assert!(read(&mut signal, &two, Poll::Ready(())).is_some());
    }

    #[test]
    fn a_wake_up_during_a_read_is_noticed() {
        let task = Arc::new(Count::default());
        let mut signal = ReadSignal::new();
        let waker = Waker::from(Arc::clone(&task));
        let polled = signal.poll(&Context::from_waker(&waker), |cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        assert_eq!(task.take(), 1);
        assert!(read(&mut signal, &task, Poll::Ready(())).is_some());
    }
}

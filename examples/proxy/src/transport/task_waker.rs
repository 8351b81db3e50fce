//! Keeps an idle HTTP/1.1 connection from being polled for nothing.
//!
//! Whenever a frame of a body is taken, hyper wakes the task of its connection to read on, also when it was the last
//! one. Then the connection is idle already, and polling it costs a good part of what a small request does. So the
//! connection gets a waker that can tell the two apart.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Wake, Waker};

/// The waker of a connection's task.
#[derive(Debug, Default)]
pub struct TaskWaker {
    /// The task, once it was polled.
    task: OnceLock<Waker>,
}

/// What happens to the wake-ups by this thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WakeUps {
    Pass,
    Hold,
    /// There was one.
    Held,
}

thread_local! {
    static WAKE_UPS: Cell<WakeUps> = const { Cell::new(WakeUps::Pass) };
}

impl TaskWaker {
    /// Drives `connection`, which wakes the current task by this waker.
    pub async fn drive<C: Future>(self: Arc<Self>, connection: C) -> C::Output {
        let mut connection = pin!(connection);
        let waker = Waker::from(Arc::clone(&self));
        poll_fn(|cx| {
            self.task.get_or_init(|| cx.waker().clone());
            connection.as_mut().poll(&mut Context::from_waker(&waker))
        })
        .await
    }

    /// Returns what `take` returns. If it wakes the task, that has no effect if the second part of its result is true;
    /// wake-ups by other threads always have.
    pub fn wake_unless<T>(&self, take: impl FnOnce() -> (T, bool)) -> (T, bool) {
        /// Also if `take` panics.
        struct Pass;

        impl Drop for Pass {
            fn drop(&mut self) {
                WAKE_UPS.set(WakeUps::Pass);
            }
        }

        let pass = Pass;
        WAKE_UPS.set(WakeUps::Hold);
        let (taken, is_last) = take();
        let held = WAKE_UPS.get() == WakeUps::Held;
        drop(pass);
        if held && !is_last {
            self.wake_task();
        }
        (taken, is_last)
    }

    fn wake_task(&self) {
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        match WAKE_UPS.get() {
            WakeUps::Pass => self.wake_task(),
            WakeUps::Hold | WakeUps::Held => WAKE_UPS.set(WakeUps::Held),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Poll;
    use std::thread;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_wake_up_while_a_frame_is_taken_has_an_effect_only_if_it_is_needed() {
        let count = Arc::new(Count::default());
        let wakes = || count.0.swap(0, Ordering::Relaxed);
        let task = Arc::new(TaskWaker::default());
        let registered = Cell::new(None);
        let mut connection = pin!(Arc::clone(&task).drive(poll_fn(|cx| {
            registered.set(Some(cx.waker().clone()));
            Poll::<()>::Pending
        })));
        let outer = Waker::from(Arc::clone(&count));
        let polled = connection.as_mut().poll(&mut Context::from_waker(&outer));
        assert!(polled.is_pending());
        let waker = registered.take().unwrap();

        task.wake_unless(|| (waker.wake_by_ref(), true));
        assert_eq!(wakes(), 0);
        task.wake_unless(|| (waker.wake_by_ref(), false));
        assert_eq!(wakes(), 1);
        task.wake_unless(|| ((), false));
        assert_eq!(wakes(), 0);
        waker.wake_by_ref();
        assert_eq!(wakes(), 1);

        let other = waker.clone();
        task.wake_unless(|| (thread::spawn(|| other.wake()).join().unwrap(), true));
        assert_eq!(wakes(), 1, "by another thread");

        let panicking = || task.wake_unless::<()>(|| panic!("expected by the test"));
        assert!(catch_unwind(AssertUnwindSafe(panicking)).is_err());
        waker.wake_by_ref();
        assert_eq!(wakes(), 1, "after a panic");
    }
}

//! Ensures that a waiter that is notified of a permit and never polls again does not block the waiters behind it.
//!
//! It cannot be known whether a notified waiter will poll: it may be about to, or its caller may have lost interest and kept the
//! handle. So while a permit is free and some waiters have not been notified, a task waits for [`TURNS`] turns of the scheduler
//! and then notifies the next one. Usually the first waiter polls within one or two turns, and the task ends. After the same
//! number of turns newcomers no longer yield to an overtaken waiter.
//!
//! Without a tokio runtime, the next waiter is notified when a permit is returned or when a waiter leaves, and not in between.
//! Notifying several at once would not help: any number of them may never poll again, and notifying all would wake all of them
//! for each permit.

use std::task::Waker;

use tokio::runtime::Handle;
use tokio::task::yield_now;

use super::counted::Counted;
use super::pool::Pool;

/// Spawns the task for the wait queue of `pool`, whose `watched` has been set. `runtime` is that of the next waiter: if it does not
/// run, neither does the waiter.
pub(super) fn spawn(pool: Counted<Pool>, runtime: Option<Handle>) {
    match runtime.or_else(|| Handle::try_current().ok()) {
        Some(runtime) => {
            let watch = Watch { pool, ended: false };
            runtime.spawn(watch.run());
        }
        None => pool.wait_queue().lock().watched = false,
    }
}

struct Watch {
    pool: Counted<Pool>,
    ended: bool,
}

impl Watch {
    async fn run(mut self) {
        for turn in 1.. {
            yield_now().await;
            let mut state = self.pool.wait_queue().lock();
            if turn % TURNS == 0 {
                state.queue.forget_overtaken();
            }
            let settled = !state.queue.has_unnotified() && !state.queue.defers();
            if self.pool.available() == 0 || settled {
                state.watched = false;
                drop(state);
                self.ended = true;
                return;
            }
            if turn % TURNS == 0 {
                let next = state.queue.notify();
                drop(state);
                wake(next);
            }
        }
    }
}

impl Drop for Watch {
    /// If the runtime shuts down before the task ends, all waiters are notified.
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        loop {
            let mut state = self.pool.wait_queue().lock();
            let next = state.queue.notify();
            if next.is_none() {
                state.watched = false;
                return;
            }
            drop(state);
            wake(next);
        }
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The number of scheduler turns within which a waiter polls unless its thread is busy. One that polls later and finds the permit
/// taken waits on.
const TURNS: usize = 16;

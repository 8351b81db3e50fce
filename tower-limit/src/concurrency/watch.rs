//! Sees to it that a waiter that was told of a permit and never comes does not hold up those behind it.
//!
//! Nobody can know whether a waiter will come: it may be about to, or its caller may have lost interest and kept the
//! handle. So while a permit is free and some have not been told of it, a task gives those who have been some turns of the
//! scheduler, and then tells the next. In the usual case the first comes within a turn or two, and the task ends.
//!
//! Newcomers that let one pass need not do so any longer then.
//!
//! Without a tokio runtime the next is told when a permit is given back, or when a waiter leaves. In between nothing happens
//! by itself, and to tell several at once would not do: any number of them may be silent, and to tell all of them would wake
//! them all for each permit.

use std::task::Waker;

use tokio::runtime::Handle;
use tokio::task::yield_now;

use super::counted::Counted;
use super::permits::Pool;

/// Watches over the line of `pool`, whose state says that it is watched. `runtime`: of the waiter that is to be told next. If
/// that does not run, neither does the waiter.
pub(super) fn spawn(pool: Counted<Pool>, runtime: Option<Handle>) {
    match runtime.or_else(|| Handle::try_current().ok()) {
        Some(runtime) => {
            let watch = Watch { pool, ended: false };
            runtime.spawn(watch.run());
        }
        None => pool.line().lock().watched = false,
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
            let mut state = self.pool.line().lock();
            if turn % TURNS == 0 {
                state.queue.forget_overtaken();
            }
            let settled = !state.queue.has_untold() && !state.queue.defers();
            if self.pool.available() == 0 || settled {
                state.watched = false;
                drop(state);
                self.ended = true;
                return;
            }
            if turn % TURNS == 0 {
                let next = state.queue.tell();
                drop(state);
                wake(next);
            }
        }
    }
}

impl Drop for Watch {
    /// If the runtime ends before the watch does, all are told.
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        loop {
            let mut state = self.pool.line().lock();
            let next = state.queue.tell();
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

/// What a waiter that comes needs at most, unless its thread is busy. If it comes later it waits on.
const TURNS: usize = 16;

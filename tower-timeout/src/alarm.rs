//! Timers that are used again.
//!
//! To set one of the runtime's timers and to cancel it costs more than most layers do, and hardly any of them ever fires.
//! So an alarm stays set when its request is done. The next request takes it over and only notes its own, later deadline;
//! an alarm that rings too early is set again.
//!
//! It is what all of this crate's timeouts are made of, and for those who write another one.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::future::poll_fn;
//! use std::time::Duration;
//! use tokio::time::Instant;
//! use tower_timeout::alarm::Alarm;
//!
//! let start = Instant::now();
//! let mut alarm = Alarm::new(start + Duration::from_secs(1));
//! poll_fn(|cx| alarm.poll(cx)).await;
//! assert_eq!(start.elapsed(), Duration::from_secs(1));
//! # }
//! ```

use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use tokio::runtime::{self, Handle};
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// Rings at a point in time. Goes back to where it came from when it is dropped.
#[derive(Debug)]
pub struct Alarm {
    /// `None` only while it is dropped.
    clock: Option<Box<Clock>>,
}

impl Alarm {
    /// Is to ring at `deadline`.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, or in one without timers.
    pub fn new(deadline: Instant) -> Self {
        let runtime = Handle::current().id();
        let mut clock = idle(runtime).unwrap_or_else(|| Box::new(Clock::new(deadline, runtime)));
        clock.deadline = deadline;
        if deadline < clock.sleep.deadline() {
            clock.set();
        }
        Self { clock: Some(clock) }
    }

    /// Whether the time has come. If not, the task is woken then; of several tasks, the one that asked last.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock.as_mut().expect("it is not dropped");
        while clock.bell.has_rung_or_listen(cx.waker()) {
            if clock.deadline <= Instant::now() {
                return Poll::Ready(());
            }
            clock.set();
        }
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(clock) = self.clock.take() {
            clock.bell.forget();
            keep(clock);
        }
    }
}

#[derive(Debug)]
struct Clock {
    deadline: Instant,
    /// Set to the deadline or to an earlier time.
    sleep: Pin<Box<Sleep>>,
    /// What `sleep` wakes.
    bell: Arc<Bell>,
    runtime: runtime::Id,
}

impl Clock {
    fn new(deadline: Instant, runtime: runtime::Id) -> Self {
        let mut clock = Self {
            deadline,
            sleep: Box::pin(sleep_until(deadline)),
            bell: Arc::default(),
            runtime,
        };
        clock.set();
        clock
    }

    fn set(&mut self) {
        // First the bell: it may be rung for the old time once more, which does no harm, but not fail to for the new one.
        self.bell.lock().rung = false;
        self.sleep.as_mut().reset(self.deadline);
        // A task that has used up its cooperative budget is no reason not to set it.
        let sleep = pin!(unconstrained(self.sleep.as_mut()));
        let bell = Waker::from(Arc::clone(&self.bell));
        if sleep.poll(&mut Context::from_waker(&bell)).is_ready() {
            self.bell.lock().rung = true;
        }
    }
}

/// Remembers that it was rung.
#[derive(Debug, Default)]
struct Bell(Mutex<BellState>);

#[derive(Debug, Default)]
struct BellState {
    rung: bool,
    listener: Option<Waker>,
}

impl Bell {
    /// If it has not rung, the waker is woken when it does.
    fn has_rung_or_listen(&self, waker: &Waker) -> bool {
        let mut state = self.lock();
        if state.rung {
            return true;
        }
        let outdated = match &mut state.listener {
            Some(listener) if listener.will_wake(waker) => None,
            listener => listener.replace(waker.clone()),
        };
        drop(state);
        drop(outdated);
        false
    }

    fn forget(&self) {
        let listener = self.lock().listener.take();
        drop(listener);
    }

    fn lock(&self) -> MutexGuard<'_, BellState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.lock();
        state.rung = true;
        let listener = state.listener.take();
        drop(state);
        if let Some(listener) = listener {
            listener.wake();
        }
    }
}

thread_local! {
    #[expect(clippy::vec_box, reason = "they go from hand to hand in their boxes")]
    static IDLE: RefCell<Vec<Box<Clock>>> = const { RefCell::new(Vec::new()) };
}

/// So many idle ones are kept per thread.
const MAX_IDLE: usize = 256;

fn idle(runtime: runtime::Id) -> Option<Box<Clock>> {
    let clock = IDLE.try_with(|idle| idle.borrow_mut().pop()).ok()??;
    if clock.runtime == runtime {
        return Some(clock);
    }
    // This thread is in another runtime now.
    let others = IDLE.take();
    drop((clock, others));
    None
}

fn keep(clock: Box<Clock>) {
    // A thread that ends keeps nothing.
    let surplus = IDLE.try_with(|idle| {
        let mut idle = idle.borrow_mut();
        if idle.len() < MAX_IDLE {
            idle.push(clock);
            None
        } else {
            Some(clock)
        }
    });
    drop(surplus);
}

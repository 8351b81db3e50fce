//! Pooled timers.
//!
//! Registering a timer with the runtime and cancelling it costs more than most layers do, and few timers ever fire. So
//! an alarm stays registered when its request is done. The next request takes it over and only records its own, later
//! deadline; an alarm that fires too early is registered again.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::future::poll_fn;
//! use std::time::Duration;
//! use tokio::time::Instant;
//! use tower_timeout::alarm::Alarm;
//!
//! let deadline = Instant::now() + Duration::from_secs(5);
//! let mut alarm = Alarm::new(deadline);
//! poll_fn(|cx| alarm.poll(cx)).await;
//! assert!(Instant::now() >= deadline);
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

/// Fires at a deadline; see the [module](self).
///
/// Nothing is registered before the first poll: an alarm that is never polled costs nothing. The timer comes from the
/// pool of the thread that polls first, and goes to the pool of the thread that drops the alarm.
///
/// An alarm that is polled by a task of another runtime moves to the timers of that runtime. It does so when it is
/// polled with another waker, or when the runtime that it leaves shuts down and wakes it.
#[derive(Debug)]
#[must_use = "an alarm fires only if it is polled"]
pub struct Alarm {
    deadline: Instant,
    /// `None` before the first poll.
    clock: Option<Box<Clock>>,
}

impl Alarm {
    /// Creates an alarm that fires at `deadline`.
    pub const fn new(deadline: Instant) -> Self {
        Self {
            deadline,
            clock: None,
        }
    }

    /// Returns when it fires.
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Changes the deadline, also after the alarm has fired. It takes effect at the next poll.
    ///
    /// A later deadline is only recorded, so that postponing an alarm often is cheap; the task may be woken once at the
    /// former deadline.
    pub const fn reset(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// Ready once the deadline has passed, and at every further poll until the alarm is reset.
    ///
    /// Otherwise the task is woken when the deadline passes, or earlier. As with any future, only the task of the last
    /// poll is woken. The task's cooperative budget is neither checked nor used.
    ///
    /// # Panics
    ///
    /// If it has to register a timer outside of a tokio runtime, or in a runtime without timers.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline;
        let clock = self.clock.get_or_insert_with(|| Clock::here(deadline));
        if deadline < clock.sleep.deadline() {
            set_here(clock, deadline);
        }
        loop {
            match clock.bell.listen(cx.waker()) {
                Heard::Nothing => return Poll::Pending,
                Heard::NothingElsewhere if !clock.is_elsewhere() => return Poll::Pending,
                Heard::Ring if deadline <= Instant::now() => return Poll::Ready(()),
                Heard::Ring | Heard::NothingElsewhere => set_here(clock, deadline),
            }
        }
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
    /// Registered for the alarm's deadline or an earlier time.
    sleep: Pin<Box<Sleep>>,
    /// Woken by `sleep`.
    bell: Arc<Bell>,
    runtime: runtime::Id,
}

impl Clock {
    /// Returns a clock of this runtime that is set to `deadline` or an earlier time.
    fn here(deadline: Instant) -> Box<Self> {
        let runtime = Handle::current().id();
        if let Some(mut clock) = idle(runtime) {
            if deadline < clock.sleep.deadline() {
                clock.set(deadline);
            }
            return clock;
        }
        let mut clock = Self {
            sleep: Box::pin(sleep_until(deadline)),
            bell: Arc::default(),
            runtime,
        };
        clock.set(deadline);
        Box::new(clock)
    }

    /// Whether it is polled in another runtime than its own, which may have shut down.
    fn is_elsewhere(&self) -> bool {
        Handle::try_current().is_ok_and(|runtime| runtime.id() != self.runtime)
    }

    fn set(&mut self, deadline: Instant) {
        // The bell first: ringing once more for the old time is harmless, missing the ring for the new one is not.
        self.bell.lock().rung = false;
        self.sleep.as_mut().reset(deadline);
        // An exhausted cooperative budget must not keep the timer from being registered.
        let sleep = pin!(unconstrained(self.sleep.as_mut()));
        let bell = Waker::from(Arc::clone(&self.bell));
        if sleep.poll(&mut Context::from_waker(&bell)).is_ready() {
            self.bell.lock().rung = true;
        }
    }
}

/// Sets the clock, or replaces it if another runtime polls it.
fn set_here(clock: &mut Box<Clock>, deadline: Instant) {
    if clock.is_elsewhere() {
        clock.bell.forget();
        *clock = Clock::here(deadline);
    } else {
        clock.set(deadline);
    }
}

/// Records that the timer fired.
#[derive(Debug, Default)]
struct Bell(Mutex<BellState>);

#[derive(Debug, Default)]
struct BellState {
    rung: bool,
    listener: Option<Waker>,
}

impl Bell {
    /// If the timer has not fired, registers `waker` to be woken when it does.
    fn listen(&self, waker: &Waker) -> Heard {
        let mut state = self.lock();
        if state.rung {
            return Heard::Ring;
        }
        let outdated = match &mut state.listener {
            Some(listener) if listener.will_wake(waker) => return Heard::Nothing,
            listener => listener.replace(waker.clone()),
        };
        drop(state);
        match outdated {
            Some(_) => Heard::NothingElsewhere,
            None => Heard::Nothing,
        }
    }

    fn forget(&self) {
        let listener = self.lock().listener.take();
        drop(listener);
    }

    fn lock(&self) -> MutexGuard<'_, BellState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The result of listening.
enum Heard {
    Ring,
    Nothing,
    /// Like `Nothing`, but a different waker was registered before.
    NothingElsewhere,
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
    #[expect(clippy::vec_box, reason = "clocks move between alarms and the pool in their boxes")]
    static IDLE: RefCell<Vec<Box<Clock>>> = const { RefCell::new(Vec::new()) };
}

/// The number of idle clocks kept per thread.
const MAX_IDLE: usize = 256;

fn idle(runtime: runtime::Id) -> Option<Box<Clock>> {
    let clock = IDLE.try_with(|idle| idle.borrow_mut().pop()).ok()??;
    if clock.runtime == runtime {
        return Some(clock);
    }
    // This thread has entered another runtime.
    let others = IDLE.take();
    drop((clock, others));
    None
}

fn keep(clock: Box<Clock>) {
    // A thread that is exiting keeps none.
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

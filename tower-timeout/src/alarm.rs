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
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use tokio::runtime::{self, Handle};
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_readiness::ignore_poison;

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
    timer: Option<Box<PooledTimer>>,
}

impl Alarm {
    /// Creates an alarm that fires at `deadline`.
    pub const fn new(deadline: Instant) -> Self {
        Self {
            deadline,
            timer: None,
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
        let timer = self
            .timer
            .get_or_insert_with(|| PooledTimer::in_current_runtime(deadline));
        if deadline < timer.sleep.deadline() {
            set_in_current_runtime(timer, deadline);
        }
        loop {
            match timer.signal.register(cx.waker()) {
                Registered::Pending => return Poll::Pending,
                Registered::OtherWaker if !timer.in_other_runtime() => return Poll::Pending,
                Registered::Fired if deadline <= Instant::now() => return Poll::Ready(()),
                Registered::Fired | Registered::OtherWaker => {
                    set_in_current_runtime(timer, deadline)
                }
            }
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            timer.signal.clear_waker();
            return_idle(timer);
        }
    }
}

#[derive(Debug)]
struct PooledTimer {
    /// Registered for the alarm's deadline or an earlier time.
    sleep: Pin<Box<Sleep>>,
    /// Woken by `sleep`.
    signal: Arc<Signal>,
    runtime: runtime::Id,
}

impl PooledTimer {
    /// Returns a timer of this runtime that is set to `deadline` or an earlier time.
    fn in_current_runtime(deadline: Instant) -> Box<Self> {
        let runtime = Handle::current().id();
        if let Some(mut timer) = take_idle(runtime) {
            if deadline < timer.sleep.deadline() {
                timer.set(deadline);
            }
            return timer;
        }
        let mut timer = Self {
            sleep: Box::pin(sleep_until(deadline)),
            signal: Arc::default(),
            runtime,
        };
        timer.set(deadline);
        Box::new(timer)
    }

    /// Returns whether it is polled in a runtime other than its own, which may have shut down.
    fn in_other_runtime(&self) -> bool {
        Handle::try_current().is_ok_and(|runtime| runtime.id() != self.runtime)
    }

    fn set(&mut self, deadline: Instant) {
        // The flag first: a second wake-up for the old time is harmless, a missed one for the new time is not.
        self.signal.lock().fired = false;
        self.sleep.as_mut().reset(deadline);
        // An exhausted cooperative budget must not keep the timer from being registered.
        let sleep = pin!(unconstrained(self.sleep.as_mut()));
        let signal = Waker::from(Arc::clone(&self.signal));
        if sleep.poll(&mut Context::from_waker(&signal)).is_ready() {
            self.signal.lock().fired = true;
        }
    }
}

/// Sets the timer, or replaces it if another runtime polls it.
fn set_in_current_runtime(timer: &mut Box<PooledTimer>, deadline: Instant) {
    if timer.in_other_runtime() {
        timer.signal.clear_waker();
        *timer = PooledTimer::in_current_runtime(deadline);
    } else {
        timer.set(deadline);
    }
}

/// Records that the timer has fired, and wakes the alarm's task.
#[derive(Debug, Default)]
struct Signal(Mutex<SignalState>);

#[derive(Debug, Default)]
struct SignalState {
    fired: bool,
    waker: Option<Waker>,
}

impl Signal {
    /// If the timer has not fired, registers `waker` to be woken when it does.
    fn register(&self, waker: &Waker) -> Registered {
        let mut state = self.lock();
        if state.fired {
            return Registered::Fired;
        }
        let outdated = match &mut state.waker {
            Some(known) if known.will_wake(waker) => return Registered::Pending,
            known => known.replace(waker.clone()),
        };
        drop(state);
        match outdated {
            Some(_) => Registered::OtherWaker,
            None => Registered::Pending,
        }
    }

    fn clear_waker(&self) {
        let waker = self.lock().waker.take();
        drop(waker);
    }

    fn lock(&self) -> MutexGuard<'_, SignalState> {
        ignore_poison(self.0.lock())
    }
}

/// The result of registering a waker.
enum Registered {
    Fired,
    Pending,
    /// Like `Pending`, but a different waker was registered before.
    OtherWaker,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.lock();
        state.fired = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

thread_local! {
    #[expect(clippy::vec_box, reason = "timers move between alarms and the pool in their boxes")]
    static IDLE: RefCell<Vec<Box<PooledTimer>>> = const { RefCell::new(Vec::new()) };
}

/// The number of idle timers kept per thread.
const MAX_IDLE: usize = 256;

fn take_idle(runtime: runtime::Id) -> Option<Box<PooledTimer>> {
    let timer = IDLE.try_with(|idle| idle.borrow_mut().pop()).ok()??;
    if timer.runtime == runtime {
        return Some(timer);
    }
    // This thread has entered another runtime.
    let others = IDLE.take();
    drop((timer, others));
    None
}

fn return_idle(timer: Box<PooledTimer>) {
    // A thread that is exiting keeps none.
    let surplus = IDLE.try_with(|idle| {
        let mut idle = idle.borrow_mut();
        if idle.len() < MAX_IDLE {
            idle.push(timer);
            None
        } else {
            Some(timer)
        }
    });
    drop(surplus);
}

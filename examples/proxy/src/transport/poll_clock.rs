//! A clock that an HTTP/2 connection reads once per poll.
//!
//! For keep-alive pings, hyper records the time of each frame that it receives. All frames of one poll may have the same.

use std::cell::Cell;
use std::pin::Pin;
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use hyper_util::rt::TokioTimer;

thread_local! {
    static NOW: Cell<Now> = const { Cell::new(Now::Unlimited) };
}

#[derive(Clone, Copy)]
enum Now {
    /// No connection is polled.
    Unlimited,
    Unread,
    Read(Instant),
}

/// Runs a poll of a connection, in which a [`PollTimer`] reads the clock once.
pub fn during<T>(poll: impl FnOnce() -> T) -> T {
    /// Also if `poll` panics.
    struct End;

    impl Drop for End {
        fn drop(&mut self) {
            NOW.set(Now::Unlimited);
        }
    }

    let _end = End;
    NOW.set(Now::Unread);
    poll()
}

/// The timer of tokio, with the time of the current poll; see [`during`].
#[derive(Debug, Clone, Copy)]
pub struct PollTimer;

impl Timer for PollTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        TokioTimer::new().sleep(duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        TokioTimer::new().sleep_until(deadline)
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
        TokioTimer::new().reset(sleep, deadline);
    }

    fn now(&self) -> Instant {
        if let Now::Read(now) = NOW.get() {
            return now;
        }
        let now = TokioTimer::new().now();
        if matches!(NOW.get(), Now::Unread) {
            NOW.set(Now::Read(now));
        }
        now
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn the_time_stands_still_during_a_poll() {
        let start = PollTimer.now();
        during(|| {
            assert_eq!(PollTimer.now(), start);
            advance(SECOND).now_or_never();
            assert_eq!(PollTimer.now(), start);
        });
        assert_eq!(PollTimer.now(), start + SECOND);
        advance(SECOND).await;
        assert_eq!(PollTimer.now(), start + 2 * SECOND);
        during(|| assert_eq!(PollTimer.now(), start + 2 * SECOND));
    }
}

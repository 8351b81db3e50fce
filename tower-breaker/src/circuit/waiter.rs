use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::time::{Instant, Sleep, sleep_until};

use super::shared::Shared;
use super::waiters::Place;

/// Waits on behalf of one service until its breaker lets requests through.
pub(super) struct Waiter {
    shared: Arc<Shared>,
    place: Place,
    /// The state when the waker was registered, and the waker.
    watched: Option<(u64, Waker)>,
    /// Fires when the breaker may be probed. Created when it is first needed, then reused.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Waiter {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            place: Place::default(),
            watched: None,
            timer: None,
        }
    }

    pub(super) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn for_clone(&self) -> Self {
        Self::new(Arc::clone(&self.shared))
    }

    /// Returns whether the breaker lets requests through. The task is woken when that changes, in either direction,
    /// except by time: the error is when to ask again.
    pub(super) fn watch(&mut self, waker: &Waker) -> Result<(), Option<Instant>> {
        if let Some((word, known)) = &self.watched
            && self.shared.is_still_closed(*word)
            && known.will_wake(waker)
        {
            return Ok(());
        }
        let (word, checked) = self.shared.check_and_watch(&mut self.place, waker);
        self.watched = Some((word, waker.clone()));
        checked
    }

    /// Waits until the breaker lets requests through. The task is woken when that changes, in either direction.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Err(due) = self.watch(cx.waker()) else {
                return Poll::Ready(());
            };
            let Some(due) = due else {
                return Poll::Pending;
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            timer.as_mut().reset(due);
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.place.is_set() {
            self.shared.leave(&self.place);
        }
    }
}

#[cfg(all(test, not(tower_loom)))]
mod tests {
    use tower_readiness::Observer;
    use tower_util::rng::SplitMix;

    use super::*;
    use crate::policy::BreakerPolicy;

    #[tokio::test]
    async fn waiters_that_are_dropped_leave_no_wakers() {
        let (policy, rng) = (BreakerPolicy::standard(), SplitMix::with_seed(1));
        let shared = Arc::new(Shared::new(policy, rng, Observer::none()).unwrap());
        for _ in 0..3 {
            let mut waiters = [(); 3].map(|()| Waiter::new(Arc::clone(&shared)));
            for _ in 0..2 {
                for waiter in &mut waiters {
                    assert_eq!(waiter.watch(Waker::noop()), Ok(()));
                }
            }
            assert_eq!(shared.watchers(), 3);
            drop(waiters);
            assert_eq!(shared.watchers(), 0);
        }
    }
}

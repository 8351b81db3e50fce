//! Permits of which a request takes several.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tower_readiness::ignore_poison;

use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};

/// The permits, and the queue of those that wait for some.
#[derive(Debug)]
pub(super) struct Pool {
    /// The number of free permits, and [`WAITING`]. While that is set, only the holder of the lock takes permits.
    word: AtomicU64,
    max: u32,
    queue: Mutex<Queue>,
}

/// Set while there are waiters, for whom returned permits are.
const WAITING: u64 = 1 << 63;

#[derive(Debug, Default)]
struct Queue {
    /// By their tickets, which are numbered in the order of arrival. A waiter that has got its permits is no longer here.
    waiters: BTreeMap<u64, Waiter>,
    next: u64,
}

#[derive(Debug)]
struct Waiter {
    weight: u32,
    waker: Waker,
}

/// The permits of a request, which are returned when it is dropped.
#[derive(Debug)]
pub(super) struct Permits {
    pool: Arc<Pool>,
    weight: u32,
}

/// A place in the queue. Dropping it leaves the queue, or returns the permits that it has got.
#[derive(Debug)]
pub(super) struct Wait {
    pool: Arc<Pool>,
    weight: u32,
    /// `None` when the permits have been passed on.
    ticket: Option<u64>,
}

impl Pool {
    pub(super) fn new(max: u32) -> Self {
        Self {
            word: AtomicU64::new(u64::from(max)),
            max,
            queue: Mutex::default(),
        }
    }

    pub(super) const fn max(&self) -> u32 {
        self.max
    }

    /// Takes `weight` permits, unless others wait or fewer are free.
    #[inline]
    pub(super) fn take(self: &Arc<Self>, weight: u32) -> Option<Permits> {
        if weight > 0 {
            let mut word = self.word.load(Ordering::Relaxed);
            loop {
                if word & WAITING != 0 || word < u64::from(weight) {
                    return None;
                }
                let next = word - u64::from(weight);
                let exchanged = self.word.compare_exchange_weak(
                    word,
                    next,
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                );
                match exchanged {
                    Ok(_) => break,
                    Err(other) => word = other,
                }
            }
        }
        Some(Permits {
            pool: Arc::clone(self),
            weight,
        })
    }

    /// Joins the queue for `weight` permits, of which there are not more than that.
    #[cold]
    pub(super) fn wait(self: &Arc<Self>, weight: u32) -> Wait {
        let mut queue = self.lock();
        let ticket = queue.next;
        queue.next += 1;
        let waker = Waker::noop().clone();
        queue.waiters.insert(ticket, Waiter { weight, waker });
        // Permits that were returned before are found by `grant`; those that are returned later find the flag.
        self.word.fetch_or(WAITING, Ordering::AcqRel);
        self.grant(queue);
        Wait {
            pool: Arc::clone(self),
            weight,
            ticket: Some(ticket),
        }
    }

    #[inline]
    fn give_back(&self, weight: u32) {
        let before = self.word.fetch_add(u64::from(weight), Ordering::AcqRel);
        if before & WAITING != 0 {
            self.grant(self.lock());
        }
    }

    /// Passes free permits on to the waiters, in their order: a heavy one at the head is not overtaken by lighter ones.
    #[cold]
    fn grant(&self, mut queue: MutexGuard<'_, Queue>) {
        let mut woken = Vec::new();
        while let Some(first) = queue.waiters.first_entry() {
            let weight = u64::from(first.get().weight);
            // Nobody else takes permits now.
            if self.word.load(Ordering::Acquire) & !WAITING < weight {
                break;
            }
            self.word.fetch_sub(weight, Ordering::AcqRel);
            woken.push(first.remove().waker);
        }
        if queue.waiters.is_empty() {
            self.word.fetch_and(!WAITING, Ordering::AcqRel);
        }
        drop(queue);
        // Woken without the lock: wakers may run any code.
        for waker in woken {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        ignore_poison(self.queue.lock())
    }
}

impl Wait {
    /// Waits for the permits. Must not be polled again after that.
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<Permits> {
        if let Some(ticket) = self.ticket {
            let waker = cx.waker().clone();
            let mut queue = self.pool.lock();
            if let Some(waiter) = queue.waiters.get_mut(&ticket) {
                let outdated = std::mem::replace(&mut waiter.waker, waker);
                drop(queue);
                drop(outdated);
                return Poll::Pending;
            }
            drop(queue);
            self.ticket = None;
        }
        Poll::Ready(Permits {
            pool: Arc::clone(&self.pool),
            weight: self.weight,
        })
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else {
            return;
        };
        let mut queue = self.pool.lock();
        let left = queue.waiters.remove(&ticket);
        if left.is_some() {
            // Those behind it may need less.
            self.pool.grant(queue);
        } else {
            drop(queue);
            self.pool.give_back(self.weight);
        }
    }
}

impl Drop for Permits {
    #[inline]
    fn drop(&mut self) {
        if self.weight > 0 {
            self.pool.give_back(self.weight);
        }
    }
}

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use std::sync::atomic::AtomicBool;
    use std::task::Wake;

    use loom::thread;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// One thread returns its permits while another begins to wait: the other gets them, or is woken.
    #[test]
    fn returned_permits_reach_a_waiter() {
        loom::model(|| {
            let pool = Arc::new(Pool::new(2));
            let held = pool.take(2).unwrap();
            let other = Arc::clone(&pool);
            let woken = Arc::new(Woken::default());
            let waker = Waker::from(Arc::clone(&woken));
            let thread = thread::spawn(move || match other.take(1) {
                Some(permits) => (None, Some(permits)),
                None => {
                    let mut wait = other.wait(1);
                    let permits = match wait.poll(&Context::from_waker(&waker)) {
                        Poll::Ready(permits) => Some(permits),
                        Poll::Pending => None,
                    };
                    (Some(wait), permits)
                }
            });
            drop(held);
            let (wait, permits) = thread.join().unwrap();
            assert!(permits.is_some() || woken.0.load(Ordering::Relaxed));
            drop((wait, permits));
            assert_eq!(pool.word.load(Ordering::Relaxed), 2);
        });
    }

    /// Two threads take and return permits without a queue.
    #[test]
    fn threads_never_take_more_than_there_are() {
        loom::model(|| {
            let pool = Arc::new(Pool::new(3));
            let other = Arc::clone(&pool);
            let thread = thread::spawn(move || other.take(2));
            let mine = pool.take(2);
            let theirs = thread.join().unwrap();
            assert!(mine.is_some() != theirs.is_some());
            drop((mine, theirs));
            assert_eq!(pool.word.load(Ordering::Relaxed), 3);
        });
    }
}

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Context, Poll, Wake, Waker};

use slab::Slab;
use tower_readiness::ignore_poison;

use super::flights::Flights;
use crate::BoxError;
use crate::error::{Panicked, SharedError};

/// A call of the service, of which several requests wait for the result.
///
/// Its future is polled by any of them: by the first that polls after the future has been woken. A wake-up of the future wakes all
/// of them, so it does not matter which ones are dropped, or are not polled again.
pub(super) struct Flight<K, R> {
    pub(super) key: K,
    pub(super) hash: u64,
    flights: Weak<Flights<K, R>>,
    /// [`WOKEN`], [`POLLING`].
    state: AtomicU8,
    /// Taken out while it is polled, so the lock is never contended.
    call: Mutex<Option<Call<R>>>,
    result: OnceLock<Result<R, Failure>>,
    /// Of the requests that wait; `None` if it was woken and has not been polled since.
    waiters: Mutex<Slab<Option<Waker>>>,
}

pub(super) type Call<R> = Pin<Box<dyn Future<Output = Result<R, BoxError>> + Send>>;

#[derive(Clone)]
enum Failure {
    Failed(SharedError),
    Panicked(Panicked),
}

impl From<Failure> for BoxError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Failed(error) => error.into(),
            Failure::Panicked(error) => error.into(),
        }
    }
}

/// The future must be polled. Only the request that replaces it by [`POLLING`] may poll it.
const WOKEN: u8 = 1;
/// A request is polling the future. When it has finished and finds [`WOKEN`] as well, it wakes all.
const POLLING: u8 = 2;

impl<K, R> Flight<K, R> {
    pub(super) const fn new(
        key: K,
        hash: u64,
        flights: Weak<Flights<K, R>>,
        call: Call<R>,
    ) -> Self {
        Self {
            key,
            hash,
            flights,
            state: AtomicU8::new(WOKEN),
            call: Mutex::new(Some(call)),
            result: OnceLock::new(),
            waiters: Mutex::new(Slab::new()),
        }
    }

    /// Returns the result: itself to the last request that takes it, and clones to the others.
    pub(super) fn into_result(self: Arc<Self>) -> Result<R, BoxError>
    where
        R: Clone,
    {
        const COMPLETED: &str = "the call has completed";
        let result = match Arc::try_unwrap(self) {
            Ok(flight) => flight.result.into_inner().expect(COMPLETED),
            Err(flight) => flight.result.get().expect(COMPLETED).clone(),
        };
        result.map_err(Into::into)
    }

    /// Drops the call, when no request waits for its result.
    pub(super) fn stop(&self) {
        let call = ignore_poison(self.call.lock()).take();
        drop(call);
    }

    /// Forgets the waker of a request that does not wait any more.
    pub(super) fn leave(&self, waiter: usize) {
        let waker = ignore_poison(self.waiters.lock()).try_remove(waiter);
        drop(waker);
    }

    fn register(&self, waiter: &mut Option<usize>, waker: &Waker) {
        let mut waiters = ignore_poison(self.waiters.lock());
        let slot = waiter.and_then(|waiter| waiters.get_mut(waiter));
        let replaced = match slot {
            Some(Some(known)) if known.will_wake(waker) => None,
            Some(slot) => slot.replace(waker.clone()),
            None => {
                *waiter = Some(waiters.insert(Some(waker.clone())));
                None
            }
        };
        drop(waiters);
        drop(replaced);
    }

    fn wake_all(&self) {
        let mut waiters = ignore_poison(self.waiters.lock());
        let mut wakers = waiters.iter_mut().filter_map(|(_, waker)| waker.take());
        // The first one apart, since a vector with nothing in it needs no allocation.
        let first = wakers.next();
        let others: Vec<_> = wakers.collect();
        drop(waiters);
        first.into_iter().chain(others).for_each(Waker::wake);
    }
}

impl<K, R> Flight<K, R>
where
    K: Eq + Send + Sync + 'static,
    R: Send + Sync + 'static,
{
    /// Polls the call for a request that waits.
    pub(super) fn poll(
        self: &Arc<Self>,
        waiter: &mut Option<usize>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if self.result.get().is_some() {
            return Poll::Ready(());
        }
        // Before the state is read, so that a wake-up after that wakes this task.
        self.register(waiter, cx.waker());
        if self
            .state
            .compare_exchange(WOKEN, POLLING, AcqRel, Acquire)
            .is_ok()
        {
            self.drive();
        }
        // Also if another request has completed the call since.
        match self.result.get() {
            Some(_) => Poll::Ready(()),
            None => Poll::Pending,
        }
    }

    fn drive(self: &Arc<Self>) {
        let Some(mut call) = ignore_poison(self.call.lock()).take() else {
            return;
        };
        let panicked = Failure::Panicked(Panicked::new());
        let mut end = End {
            flight: self,
            result: Some(Err(panicked)),
        };
        let waker = Waker::from(Arc::clone(self));
        match call.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => {
                drop(call);
                end.result =
                    Some(result.map_err(|error| Failure::Failed(SharedError::new(error.into()))));
            }
            Poll::Pending => {
                end.result = None;
                *ignore_poison(self.call.lock()) = Some(call);
                if self.state.fetch_and(!POLLING, AcqRel) & WOKEN != 0 {
                    self.wake_all();
                }
            }
        }
    }
}

/// Ends the call when it is dropped, unless there is no result: also if the call panics, with [`Panicked`].
struct End<'a, K: Eq, R> {
    flight: &'a Arc<Flight<K, R>>,
    result: Option<Result<R, Failure>>,
}

impl<K: Eq, R> Drop for End<'_, K, R> {
    fn drop(&mut self) {
        let Some(result) = self.result.take() else {
            return;
        };
        // First, so that a request that comes after the result begins a new call.
        if let Some(flights) = self.flight.flights.upgrade() {
            flights.remove(self.flight);
        }
        // Only the request that polls sets a result, and only once.
        let _ = self.flight.result.set(result);
        self.flight.wake_all();
    }
}

impl<K, R> Wake for Flight<K, R>
where
    K: Send + Sync + 'static,
    R: Send + Sync + 'static,
{
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // If it is being polled, the request that polls it wakes all afterwards. If it was woken before, all were.
        if self.state.fetch_or(WOKEN, AcqRel) == 0 {
            self.wake_all();
        }
    }
}

impl<K: fmt::Debug, R> fmt::Debug for Flight<K, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

//! A [`Budget`] of so many retries per request, and so many per second in any case.

use std::fmt;
use std::sync::{PoisonError, TryLockError};
use std::time::Duration;

use tokio::time::Instant;

use super::Budget;
use super::tokens::Tokens;
use crate::sync::{AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering};

/// Allows a share of the requests of the last `ttl`, and a reserve on top of it.
///
/// The numbers of the default are Finagle's: 10 seconds, a reserve of 10 retries per second, and 20 %.
///
/// # Cost
///
/// A deposit is one atomic addition, mostly: at more than some hundreds per second the clock is read, and a lock taken, only
/// for every 64th. Those between count as made with the one before them, so that there is never more than the share. A
/// withdrawal takes the lock.
pub struct TpsBudget {
    /// Deposits that are not in the account yet.
    fresh: AtomicU32,
    /// When there are so many of them, they go into the account.
    batch: AtomicU32,
    account: Mutex<Account>,
    refused: AtomicU64,
    /// What each deposit adds. A withdrawal takes [`RETRY`].
    deposit: i64,
    reserve: i64,
}

struct Account {
    tokens: Tokens,
    /// When deposits were last taken in.
    settled: Instant,
}

impl TpsBudget {
    /// `retry_percent` retries per deposit of the last `ttl`: 0.2 are 20 %, 2.0 are two for each. And `min_per_sec`
    /// retries per second besides, so that a service with few requests can be retried at all.
    ///
    /// # Panics
    ///
    /// If `ttl` is not from 1 to 60 seconds, `retry_percent` is not from 0 to 1000, or `min_per_sec` exceeds 2³¹.
    pub fn new(ttl: Duration, min_per_sec: u32, retry_percent: f32) -> Self {
        assert!(
            (1..=60).contains(&ttl.as_secs()) && ttl <= Duration::from_secs(60),
            "ttl must be from 1 to 60 seconds"
        );
        assert!(
            (0.0..=1000.0).contains(&retry_percent),
            "retry_percent must be from 0 to 1000"
        );
        assert!(
            min_per_sec <= i32::MAX as u32,
            "min_per_sec must be at most 2147483647"
        );
        let now = Instant::now();
        Self {
            fresh: AtomicU32::new(0),
            batch: AtomicU32::new(1),
            account: Mutex::new(Account {
                tokens: Tokens::new(ttl, now),
                settled: now,
            }),
            refused: AtomicU64::new(0),
            deposit: (f64::from(retry_percent) * RETRY as f64).round() as i64,
            reserve: (f64::from(min_per_sec) * ttl.as_secs_f64() * RETRY as f64) as i64,
        }
    }

    /// How many retries are left.
    pub fn available(&self) -> u64 {
        let mut account = self.lock();
        let balance = self.settled(&mut account, Instant::now());
        u64::try_from(balance / RETRY).unwrap_or(0)
    }

    /// How many retries were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// The balance when all deposits are taken in, with the reserve.
    fn settled(&self, account: &mut Account, now: Instant) -> i64 {
        let deposits = i64::from(self.fresh.swap(0, Ordering::Relaxed));
        account.settle(deposits * self.deposit, now);
        account.tokens.balance(now).saturating_add(self.reserve)
    }

    #[cold]
    fn settle_batch(&self) {
        let mut account = match self.account.try_lock() {
            Ok(account) => account,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Then another one takes in this deposit as well, or the next one does.
            Err(TryLockError::WouldBlock) => return,
        };
        let deposits = i64::from(self.fresh.swap(0, Ordering::Relaxed));
        if deposits == 0 {
            return;
        }
        let now = Instant::now();
        let quick =
            now.saturating_duration_since(account.settled) < account.tokens.step() / QUICK_PART;
        let batch = match quick {
            true => (self.batch.load(Ordering::Relaxed) * 2).min(LARGEST_BATCH),
            false => 1,
        };
        self.batch.store(batch, Ordering::Relaxed);
        // The last of them is made now, and the others since the account was settled.
        account.settle((deposits - 1) * self.deposit, now);
        account.tokens.add(self.deposit, now);
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    /// Takes in what was deposited between the last time and `now`: as of the last time.
    fn settle(&mut self, amount: i64, now: Instant) {
        self.tokens.add(amount, self.settled);
        self.settled = self.settled.max(now);
    }
}

impl Budget for TpsBudget {
    #[inline]
    fn deposit(&self) {
        let fresh = self.fresh.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if fresh >= self.batch.load(Ordering::Relaxed) {
            self.settle_batch();
        }
    }

    fn withdraw(&self) -> bool {
        let now = Instant::now();
        let mut account = self.lock();
        let allowed = self.settled(&mut account, now) >= RETRY;
        if allowed {
            account.tokens.add(-RETRY, now);
        }
        drop(account);
        if !allowed {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        allowed
    }
}

impl Default for TpsBudget {
    fn default() -> Self {
        Self::new(Duration::from_secs(10), 10, 0.2)
    }
}

impl fmt::Debug for TpsBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TpsBudget")
            .field("available", &self.available())
            .field("refused", &self.refused())
            .finish_non_exhaustive()
    }
}

/// What a retry costs: so much that any share of it is a whole number nearly enough.
const RETRY: i64 = 1_000_000;
/// So few that, if they are forgotten too early because the requests become rare, nobody misses them.
const LARGEST_BATCH: u32 = 64;
/// A batch may be larger next time if it took less than this part of a step.
const QUICK_PART: u32 = 8;

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// Two deposits for one retry, and two who want it.
    #[test]
    fn a_token_is_spent_once() {
        loom::model(|| {
            let budget = Arc::new(TpsBudget::new(Duration::from_secs(60), 0, 0.5));
            let other = {
                let budget = Arc::clone(&budget);
                thread::spawn(move || {
                    budget.deposit();
                    budget.withdraw()
                })
            };
            budget.deposit();
            let retries = u32::from(budget.withdraw()) + u32::from(other.join().unwrap());
            assert!(retries <= 1);
            // Nothing was lost either: who came last has seen both deposits.
            assert_eq!(retries + u32::from(budget.withdraw()), 1);
        });
    }
}

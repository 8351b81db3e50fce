//! A [`Budget`] of so many retries per request, and so many per second in any case.

use std::fmt;
use std::sync::{PoisonError, TryLockError};
use std::time::Duration;

use tokio::time::Instant;

use super::Budget;
use super::tokens::Tokens;
use crate::sync::{AtomicI64, AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering};

/// Allows a share of the requests of the last `ttl`, and a reserve on top of it.
///
/// The numbers of the default are Finagle's: 10 seconds, a reserve of 10 retries per second, and 20 %.
///
/// # Cost
///
/// A deposit is one atomic addition, mostly: at more than some hundreds per second the clock is read, and a lock taken, only
/// for every 64th. Those between count as made with the one before them, so that there is never more than the share.
///
/// A withdrawal reads the clock and is one atomic operation on another word, mostly: it takes the lock for the first of each
/// tenth of `ttl`, and when what has been deposited since then may decide. One that is refused takes no lock if nothing has
/// been deposited since the last.
///
/// Two threads that do nothing else take the time of a counter that they share for a deposit, and for a withdrawal that of the
/// clock besides.
pub struct TpsBudget {
    deposits: Deposits,
    withdrawals: Withdrawals,
    /// The number of fresh deposits at which they are credited to the account. Each deposit reads it, and few write it: it is not
    /// where they write.
    batch: AtomicU32,
    account: Mutex<Account>,
    start: Instant,
    /// What each deposit adds. A withdrawal takes [`RETRY`].
    deposit: i64,
    reserve: i64,
}

/// What each deposit writes, in cache lines of its own.
#[repr(align(128))]
struct Deposits {
    /// Those that are not in the account yet.
    fresh: AtomicU32,
}

/// What each withdrawal writes, in cache lines of its own.
#[repr(align(128))]
struct Withdrawals {
    /// What there is, the reserve included. Only withdrawals write it without the lock.
    balance: AtomicI64,
    /// Until when that is so, but for fresh deposits. Nanoseconds since the start.
    ends: AtomicU64,
    refused: AtomicU64,
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
        let tokens = Tokens::new(ttl, now);
        let reserve = (f64::from(min_per_sec) * ttl.as_secs_f64() * RETRY as f64) as i64;
        Self {
            deposits: Deposits {
                fresh: AtomicU32::new(0),
            },
            batch: AtomicU32::new(1),
            withdrawals: Withdrawals {
                balance: AtomicI64::new(reserve),
                ends: AtomicU64::new(nanos(tokens.step())),
                refused: AtomicU64::new(0),
            },
            account: Mutex::new(Account {
                tokens,
                settled: now,
            }),
            start: now,
            deposit: (f64::from(retry_percent) * RETRY as f64).round() as i64,
            reserve,
        }
    }

    /// How many retries are left.
    pub fn available(&self) -> u64 {
        let mut account = self.lock();
        self.settle(&mut account, Instant::now());
        let balance = self.withdrawals.balance.load(Ordering::Relaxed);
        u64::try_from(balance / RETRY).unwrap_or(0)
    }

    /// How many retries were refused.
    pub fn refused(&self) -> u64 {
        self.withdrawals.refused.load(Ordering::Relaxed)
    }

    /// Takes in all deposits as of the last time, and ends what is over now.
    fn settle(&self, account: &mut Account, now: Instant) {
        let deposits = self.deposits.fresh.load(Ordering::Relaxed);
        self.credit(deposits);
        self.taken_in(deposits);
        self.expire(account, now);
        account.settled = account.settled.max(now);
    }

    /// With the account locked.
    fn credit(&self, deposits: u32) {
        let balance = &self.withdrawals.balance;
        let room = (i64::MAX / 2).saturating_sub(balance.load(Ordering::Relaxed));
        let amount = i64::from(deposits) * self.deposit;
        balance.fetch_add(amount.min(room), Ordering::Relaxed);
    }

    /// Takes off deposits that have been credited: after that, so a thread that sees none sees the credit too.
    fn taken_in(&self, deposits: u32) {
        self.deposits.fresh.fetch_sub(deposits, Ordering::Release);
    }

    /// What is withdrawn meanwhile counts for the step that begins.
    fn expire(&self, account: &mut Account, now: Instant) {
        let Withdrawals { balance, ends, .. } = &self.withdrawals;
        let known = balance.load(Ordering::Relaxed) - self.reserve;
        let expired = account.tokens.expire(known, now);
        balance.fetch_sub(expired, Ordering::Relaxed);
        let end = account.tokens.ends().saturating_duration_since(self.start);
        ends.store(nanos(end), Ordering::Relaxed);
    }

    #[cold]
    fn settle_batch(&self) {
        let mut account = match self.account.try_lock() {
            Ok(account) => account,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Then another one takes in this deposit as well, or the next one does.
            Err(TryLockError::WouldBlock) => return,
        };
        let deposits = self.deposits.fresh.load(Ordering::Relaxed);
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
        self.credit(deposits - 1);
        self.expire(&mut account, now);
        account.settled = account.settled.max(now);
        self.credit(1);
        self.taken_in(deposits);
    }

    /// Takes what a retry costs, if there is as much.
    #[inline]
    fn take(&self) -> bool {
        let balance = &self.withdrawals.balance;
        let mut current = balance.load(Ordering::Relaxed);
        if current >= PLENTY {
            // No comparison that may fail. As many threads as make that wrong put back what they took.
            if balance.fetch_sub(RETRY, Ordering::Relaxed) >= RETRY {
                return true;
            }
            current = balance.fetch_add(RETRY, Ordering::Relaxed) + RETRY;
        }
        while current >= RETRY {
            let exchanged = balance.compare_exchange_weak(
                current,
                current - RETRY,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match exchanged {
                Ok(_) => return true,
                Err(other) => current = other,
            }
        }
        false
    }

    #[cold]
    fn settle_and_take(&self, now: Instant) -> bool {
        let mut account = self.lock();
        self.settle(&mut account, now);
        self.take()
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Budget for TpsBudget {
    #[inline]
    fn deposit(&self) {
        let fresh = &self.deposits.fresh;
        let fresh = fresh.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if fresh >= self.batch.load(Ordering::Relaxed) {
            self.settle_batch();
        }
    }

    fn withdraw(&self) -> bool {
        let now = Instant::now();
        let since = nanos(now.saturating_duration_since(self.start));
        let is_known = since < self.withdrawals.ends.load(Ordering::Relaxed);
        if is_known && self.take() {
            return true;
        }
        // If there are no fresh deposits they are all in the balance, which was perhaps looked at before.
        let all_in = self.deposits.fresh.load(Ordering::Acquire) == 0;
        let allowed = match is_known && all_in {
            true => self.take(),
            false => self.settle_and_take(now),
        };
        if !allowed {
            self.withdrawals.refused.fetch_add(1, Ordering::Relaxed);
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
/// When there is so much, a withdrawal need not compare.
const PLENTY: i64 = 64 * RETRY;
/// So few that, if they are forgotten too early because the requests become rare, nobody misses them.
const LARGEST_BATCH: u32 = 64;
/// A batch may be larger next time if it took less than this part of a step.
const QUICK_PART: u32 = 8;

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// Two deposits for one retry, and two who want it.
    #[test]
    fn a_token_is_spent_once() {
        // There are too many ways for all of them.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
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

    /// A deposit is there for a withdrawal after it, also while another one settles it.
    #[test]
    fn a_deposit_is_not_overlooked_while_it_is_settled() {
        loom::model(|| {
            let budget = Arc::new(TpsBudget::new(Duration::from_secs(60), 0, 1.0));
            // Not settled at once.
            budget.batch.store(64, Ordering::Relaxed);
            budget.deposit();
            let other = {
                let budget = Arc::clone(&budget);
                thread::spawn(move || budget.withdraw())
            };
            let mine = budget.withdraw();
            assert!(mine != other.join().unwrap(), "one of the two");
            assert_eq!(budget.refused(), 1);
        });
    }
}

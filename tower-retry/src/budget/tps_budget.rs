//! A [`Budget`] that allows a fraction of the requests to be retried, plus a fixed number of retries per second.

use std::fmt;
use std::sync::TryLockError;
use std::time::Duration;

use tokio::time::Instant;
use tower_readiness::ignore_poison;

use super::Budget;
use super::tokens::Tokens;
use crate::sync::{AtomicI64, AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering};

/// Allows a fraction of the requests of the last `ttl` to be retried, plus a reserve of retries per second.
///
/// The defaults are Finagle's: a `ttl` of 10 seconds, a reserve of 10 retries per second, and 20 % of the requests.
///
/// # Cost
///
/// Most deposits are one atomic addition: at more than a few hundred per second, only every 64th reads the clock and takes a
/// lock. The deposits in between count as made at the time of the one before them, so the fraction is never exceeded.
///
/// Most withdrawals read the clock and are one atomic operation on another word. A withdrawal takes the lock if it is the first
/// in a tenth of `ttl`, or if the result depends on deposits that have been made since the lock was last taken. One that is
/// refused takes no lock if there are no new deposits.
///
/// Two threads that do nothing else take as long as with a shared counter for a deposit, and in addition the time of reading the
/// clock for a withdrawal.
pub struct TpsBudget {
    deposits: Deposits,
    withdrawals: Withdrawals,
    /// The number of fresh deposits at which they are credited to the balance. Each deposit reads it and few write it, so it is not
    /// in the cache lines that deposits write.
    batch: AtomicU32,
    account: Mutex<Account>,
    start: Instant,
    /// The amount that a deposit adds. A withdrawal takes [`RETRY`].
    deposit: i64,
    reserve: i64,
}

/// What deposits write, in separate cache lines.
#[repr(align(128))]
struct Deposits {
    /// The number of deposits that are not in the balance yet.
    fresh: AtomicU32,
}

/// What withdrawals write, in separate cache lines.
#[repr(align(128))]
struct Withdrawals {
    /// What can be withdrawn, including the reserve. Only withdrawals write it without the lock.
    balance: AtomicI64,
    /// When the next part of the balance expires, in nanoseconds since the start.
    ends: AtomicU64,
    refused: AtomicU64,
}

struct Account {
    tokens: Tokens,
    /// When deposits were last credited.
    settled: Instant,
}

impl TpsBudget {
    /// Creates a budget of `retry_percent` retries per deposit of the last `ttl`, where 0.2 means 20 % and 2.0 two retries per
    /// deposit; plus `min_per_sec` retries per second, so that requests to a service that receives few can be retried at all.
    ///
    /// # Panics
    ///
    /// If `ttl` is not between 1 and 60 seconds, `retry_percent` is not between 0 and 1000, or `min_per_sec` is not below 2³¹.
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

    /// Returns the number of retries that are left.
    pub fn available(&self) -> u64 {
        let mut account = self.lock();
        self.settle(&mut account, Instant::now());
        let balance = self.withdrawals.balance.load(Ordering::Relaxed);
        u64::try_from(balance / RETRY).unwrap_or(0)
    }

    /// Returns the number of retries that were refused.
    pub fn refused(&self) -> u64 {
        self.withdrawals.refused.load(Ordering::Relaxed)
    }

    /// Credits all fresh deposits as of the last settlement, then subtracts what has expired.
    fn settle(&self, account: &mut Account, now: Instant) {
        let deposits = self.deposits.fresh.load(Ordering::Relaxed);
        self.credit(deposits);
        self.subtract_fresh(deposits);
        self.expire(account, now);
        account.settled = account.settled.max(now);
    }

    /// Adds `deposits` to the balance. The account must be locked.
    fn credit(&self, deposits: u32) {
        let balance = &self.withdrawals.balance;
        let room = (i64::MAX / 2).saturating_sub(balance.load(Ordering::Relaxed));
        let amount = i64::from(deposits) * self.deposit;
        balance.fetch_add(amount.min(room), Ordering::Relaxed);
    }

    /// Subtracts credited deposits from the fresh ones. Called after the credit, so a thread that sees no fresh deposits also
    /// sees the credit.
    fn subtract_fresh(&self, deposits: u32) {
        self.deposits.fresh.fetch_sub(deposits, Ordering::Release);
    }

    /// Subtracts what has expired. Concurrent withdrawals count in the step that begins.
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
            // The thread that holds the lock credits this deposit, or the next deposit does.
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
        // The last deposit is made now, and the others were made since the last settlement.
        self.credit(deposits - 1);
        self.expire(&mut account, now);
        account.settled = account.settled.max(now);
        self.credit(1);
        self.subtract_fresh(deposits);
    }

    /// Takes the amount of a retry, if the balance suffices.
    #[inline]
    fn take(&self) -> bool {
        let balance = &self.withdrawals.balance;
        let mut current = balance.load(Ordering::Relaxed);
        if current >= FAST_PATH_BALANCE {
            // Unconditional, so it cannot fail under contention. If too many threads get here at the same time, the last of
            // them undo the subtraction.
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
        ignore_poison(self.account.lock())
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
        // Without fresh deposits, all are in the balance; but it may have been read before they were credited.
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

/// The amount of a retry: large, so that rounding a fraction of it to an integer has no effect.
const RETRY: i64 = 1_000_000;
/// The balance from which on a withdrawal subtracts without a compare-and-swap.
const FAST_PATH_BALANCE: i64 = 64 * RETRY;
/// The largest batch: small enough that it does not matter if its deposits expire too early when requests become rare.
const LARGEST_BATCH: u32 = 64;
/// The batch size is doubled if a batch took less than a step divided by this number.
const QUICK_PART: u32 = 8;

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// Two deposits allow one retry, which two threads try to withdraw.
    #[test]
    fn a_retry_is_withdrawn_once() {
        // There are too many interleavings to check them all.
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
            // Nothing was lost either: the last withdrawal has seen both deposits.
            assert_eq!(retries + u32::from(budget.withdraw()), 1);
        });
    }

    /// A withdrawal sees an earlier deposit, even while another thread settles it.
    #[test]
    fn a_deposit_is_not_overlooked_while_it_is_settled() {
        loom::model(|| {
            let budget = Arc::new(TpsBudget::new(Duration::from_secs(60), 0, 1.0));
            // So that the deposit is not settled immediately.
            budget.batch.store(64, Ordering::Relaxed);
            budget.deposit();
            let other = {
                let budget = Arc::clone(&budget);
                thread::spawn(move || budget.withdraw())
            };
            let mine = budget.withdraw();
            assert!(
                mine != other.join().unwrap(),
                "exactly one withdrawal succeeds"
            );
            assert_eq!(budget.refused(), 1);
        });
    }
}

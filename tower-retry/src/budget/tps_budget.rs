//! A [`Budget`] of so many retries per request, and so many per second in any case.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Budget;
use super::tokens::Tokens;

/// Allows a share of the requests of the last `ttl`, and a reserve on top of it.
///
/// The numbers of the default are Finagle's: 10 seconds, a reserve of 10 retries per second, and 20 %.
pub struct TpsBudget {
    tokens: Mutex<Tokens>,
    /// What each deposit adds. A withdrawal takes [`RETRY`].
    deposit: i64,
    reserve: i64,
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
        Self {
            tokens: Mutex::new(Tokens::new(ttl, Instant::now())),
            deposit: (f64::from(retry_percent) * RETRY as f64).round() as i64,
            reserve: (f64::from(min_per_sec) * ttl.as_secs_f64() * RETRY as f64) as i64,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Budget for TpsBudget {
    fn deposit(&self) {
        self.lock().add(self.deposit, Instant::now());
    }

    fn withdraw(&self) -> bool {
        let now = Instant::now();
        let mut tokens = self.lock();
        let allowed = tokens.balance(now).saturating_add(self.reserve) >= RETRY;
        if allowed {
            tokens.add(-RETRY, now);
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
        let balance = self
            .lock()
            .balance(Instant::now())
            .saturating_add(self.reserve);
        f.debug_struct("TpsBudget")
            .field("retries_left", &(balance / RETRY))
            .finish_non_exhaustive()
    }
}

/// What a retry costs: so much that any share of it is a whole number nearly enough.
const RETRY: i64 = 1_000_000;

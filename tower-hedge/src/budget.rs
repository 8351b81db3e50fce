//! The budget of hedges: a share of the successful requests.

use tower_retry::budget::Budget;

use crate::sync::{AtomicU64, Ordering};

/// A budget into which each success deposits a share of a hedge, and from which each hedge withdraws one. The balance
/// starts at zero, so hedges never exceed that share of the successes since the start.
///
/// The balance is capped at the deposits of [`SAVED`] successes, which limits the burst of hedges after a long time
/// without any. It uses no clock and no lock; while the balance is full, a deposit does not write.
#[derive(Debug)]
pub(crate) struct ExtraLoad {
    /// In fractions of a hedge; see [`HEDGE`].
    balance: AtomicU64,
    deposit: u64,
    max: u64,
}

impl ExtraLoad {
    /// Creates a budget of `share` hedges per success, from 0 to 1.
    pub(crate) fn new(share: f64) -> Self {
        let deposit = (share.clamp(0.0, 1.0) * HEDGE as f64).round() as u64;
        Self {
            balance: AtomicU64::new(0),
            deposit,
            max: HEDGE.max(deposit * SAVED),
        }
    }
}

impl Budget for ExtraLoad {
    fn deposit(&self) {
        // An error means that the balance is full.
        let _ = self
            .balance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |balance| {
                (balance < self.max).then(|| (balance + self.deposit).min(self.max))
            });
    }

    fn withdraw(&self) -> bool {
        self.balance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |balance| {
                balance.checked_sub(HEDGE)
            })
            .is_ok()
    }
}

/// One hedge, in the units of the balance.
const HEDGE: u64 = 1_000_000_000;
/// At a share of 1 %, the cap is a hundred hedges: enough for a pause that affects many requests at the same time.
const SAVED: u64 = 10_000;

#[cfg(all(test, not(tower_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn there_are_never_more_hedges_than_the_share(
            share in 0.0..=1.0,
            deposits in prop::collection::vec(any::<bool>(), 0..2000),
        ) {
            let budget = ExtraLoad::new(share);
            let (mut deposited, mut withdrawn) = (0_u32, 0_u32);
            for deposit in deposits {
                if deposit {
                    budget.deposit();
                    deposited += 1;
                } else {
                    withdrawn += u32::from(budget.withdraw());
                }
                // Up to the precision of the fractions.
                prop_assert!(f64::from(withdrawn) <= (share + 1e-9) * f64::from(deposited));
            }
        }
    }

    #[test]
    fn withdrawals_are_limited_by_the_share_and_savings_by_the_cap() {
        let budget = ExtraLoad::new(0.01);
        let withdrawn = |budget: &ExtraLoad| (0..).take_while(|_| budget.withdraw()).count();
        for _ in 0..1000 {
            budget.deposit();
        }
        assert_eq!(withdrawn(&budget), 10);
        for _ in 0..20_000 {
            budget.deposit();
        }
        assert_eq!(withdrawn(&budget), 100);
    }

    #[test]
    fn no_share_panics() {
        for share in [f64::NAN, -1.0, 0.0, f64::INFINITY] {
            let budget = ExtraLoad::new(share);
            budget.deposit();
            assert_eq!(budget.withdraw(), share == f64::INFINITY);
        }
    }
}

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// Two threads deposit half a hedge each, and both try to withdraw a whole one.
    #[test]
    fn two_threads_never_withdraw_the_same_hedge() {
        loom::model(|| {
            let budget = Arc::new(ExtraLoad::new(0.5));
            let go = |budget: &ExtraLoad| {
                budget.deposit();
                budget.withdraw()
            };
            let other = {
                let budget = Arc::clone(&budget);
                thread::spawn(move || go(&budget))
            };
            let mine = go(&budget);
            let other = other.join().unwrap();
            assert!(!(mine && other));
            let left = budget.balance.load(Ordering::Relaxed);
            assert_eq!(left + HEDGE * u64::from(mine || other), HEDGE);
        });
    }
}

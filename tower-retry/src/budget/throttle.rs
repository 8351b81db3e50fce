use std::fmt;

use super::{Budget, FailureBudget};
use crate::sync::{AtomicU32, Ordering};

/// Allows retries while enough requests succeed: gRPC's `retryThrottling`.
///
/// The throttle starts with `max_tokens` tokens, its maximum. Each failure takes one token, each success adds `token_ratio`
/// tokens, and retries are allowed while more than half of the tokens are left. With the defaults, 10 tokens and a ratio of 0.1,
/// the fifth consecutive failure is not retried.
///
/// Pass it to a retry policy with [`Builder::throttle`](crate::Builder::throttle), so that failures that are not retried count
/// as well.
///
/// # Cost
///
/// A success reads one atomic word, and writes it only while tokens are missing. It takes no lock and does not read the clock.
///
/// # Implementation notes
///
/// Follows [gRFC A6](https://github.com/grpc/proposal/blob/master/A6-client-retries.md), "Throttling Retry Attempts and Hedged
/// RPCs". Tokens are counted in thousandths, which is gRPC's precision.
///
/// # Example
///
/// ```
/// use tower_retry::budget::{Budget, Throttle};
///
/// let throttle = Throttle::try_new(4, 0.5).unwrap();
/// assert!(throttle.withdraw());
/// assert!(!throttle.withdraw()); // half of the tokens are left
/// throttle.deposit();
/// throttle.deposit();
/// throttle.deposit();
/// assert_eq!(throttle.tokens(), 3.5);
/// ```
pub struct Throttle {
    /// In thousandths of a token, as are `max` and `ratio`.
    tokens: AtomicU32,
    max: u32,
    ratio: u32,
}

impl Throttle {
    /// Creates a throttle with at most `max_tokens` tokens, to which each success adds `token_ratio`. The defaults are 10 and 0.1.
    ///
    /// # Errors
    ///
    /// If `max_tokens` is not between 1 and 1000, or `token_ratio` not between 0.001 and 1000.
    pub fn try_new(max_tokens: u32, token_ratio: f64) -> Result<Self, InvalidThrottle> {
        if !(1..=1000).contains(&max_tokens) {
            return Err(InvalidThrottle::MaxTokens(max_tokens));
        }
        if !(0.001..=1000.0).contains(&token_ratio) {
            return Err(InvalidThrottle::TokenRatio(token_ratio));
        }
        Ok(Self {
            tokens: AtomicU32::new(max_tokens * TOKEN),
            max: max_tokens * TOKEN,
            ratio: (token_ratio * f64::from(TOKEN)).round() as u32,
        })
    }

    /// Returns the number of tokens that are left.
    pub fn tokens(&self) -> f64 {
        f64::from(self.tokens.load(Ordering::Relaxed)) / f64::from(TOKEN)
    }

    /// Takes one token, or what is left of the last one. Returns what is left, in thousandths.
    fn take(&self) -> u32 {
        let less = |tokens: u32| tokens.saturating_sub(TOKEN);
        let before = self
            .tokens
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| {
                // Without a token nothing is written, so the cache line stays shared.
                (tokens > 0).then(|| less(tokens))
            });
        before.map_or(0, less)
    }
}

impl Budget for Throttle {
    #[inline]
    fn deposit(&self) {
        if self.tokens.load(Ordering::Relaxed) < self.max {
            // An error means that the maximum was reached meanwhile, so nothing was added.
            let _ = self
                .tokens
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| {
                    (tokens < self.max).then(|| (tokens + self.ratio).min(self.max))
                });
        }
    }

    fn withdraw(&self) -> bool {
        self.take() > self.max / 2
    }
}

impl FailureBudget for Throttle {
    fn fail(&self) {
        self.take();
    }
}

impl Default for Throttle {
    /// Returns a throttle of 10 tokens and a ratio of 0.1.
    fn default() -> Self {
        Self::try_new(10, 0.1).expect("the defaults are valid")
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle")
            .field("tokens", &self.tokens())
            .field("max_tokens", &(self.max / TOKEN))
            .finish_non_exhaustive()
    }
}

/// A parameter of a [`Throttle`] is out of range.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum InvalidThrottle {
    /// The maximum number of tokens is not between 1 and 1000.
    MaxTokens(u32),
    /// The number of tokens that a success adds is not between 0.001 and 1000.
    TokenRatio(f64),
}

impl fmt::Display for InvalidThrottle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxTokens(found) => {
                write!(f, "max_tokens is {found}, and must be from 1 to 1000")
            }
            Self::TokenRatio(found) => {
                write!(f, "token_ratio is {found}, and must be from 0.001 to 1000")
            }
        }
    }
}

impl std::error::Error for InvalidThrottle {}

const TOKEN: u32 = 1000;

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// A success concurrent with a failure: both count, in any order.
    #[test]
    fn no_token_is_lost() {
        loom::model(|| {
            let throttle = Arc::new(Throttle::try_new(10, 0.5).unwrap());
            throttle.fail();
            let other = {
                let throttle = Arc::clone(&throttle);
                thread::spawn(move || throttle.deposit())
            };
            throttle.withdraw();
            other.join().unwrap();
            assert_eq!(throttle.tokens(), 8.5);
        });
    }
}

use std::fmt;

use super::{Budget, FailureBudget};
use crate::sync::{AtomicU32, Ordering};

/// Allows retries while more requests succeed than fail: gRPC's `retryThrottling`.
///
/// There are so many tokens at first, and never more. A failure takes one, a success gives back a part of one, and retries
/// are allowed while more than half of the tokens are there. With the defaults, 10 tokens and a ratio of 0.1, the fifth
/// failure in a row is not retried.
///
/// Hand it to a retry policy by [`Builder::throttle`](crate::Builder::throttle), so that it also sees failures that are not
/// to be retried.
///
/// # Cost
///
/// A success reads one word, and writes it only while tokens are missing. There is no lock and no clock.
///
/// # Implementation notes
///
/// [gRFC A6](https://github.com/grpc/proposal/blob/master/A6-client-retries.md), "Throttling Retry Attempts and Hedged
/// RPCs". Tokens are counted in thousandths, which is the precision that gRPC has.
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
    /// Thousandths, as all the others.
    tokens: AtomicU32,
    max: u32,
    ratio: u32,
}

impl Throttle {
    /// With `max_tokens` tokens, of which a success gives back `token_ratio`.
    ///
    /// # Errors
    ///
    /// If `max_tokens` is not from 1 to 1000, or `token_ratio` not from 0.001 to 1000.
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

    /// How many tokens there are.
    pub fn tokens(&self) -> f64 {
        f64::from(self.tokens.load(Ordering::Relaxed)) / f64::from(TOKEN)
    }

    /// Takes a token, if there is one; returns how many are left.
    fn take(&self) -> u32 {
        let less = |tokens: u32| tokens.saturating_sub(TOKEN);
        let before = self
            .tokens
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| {
                // Without any, a read leaves the cache line where it is.
                (tokens > 0).then(|| less(tokens))
            });
        before.map_or(0, less)
    }
}

impl Budget for Throttle {
    #[inline]
    fn deposit(&self) {
        if self.tokens.load(Ordering::Relaxed) < self.max {
            // Nothing is to be done if it fails: that is how it says that nothing was.
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
    /// 10 tokens, and a ratio of 0.1.
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

/// The parameters of a [`Throttle`] make no sense.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum InvalidThrottle {
    /// The number of tokens.
    MaxTokens(u32),
    /// What a success gives back.
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

    /// A success and two failures at once: each counts, whatever the order.
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

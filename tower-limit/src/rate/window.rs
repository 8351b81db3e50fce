//! The period that runs. Pure: the time comes in as an argument.

use std::time::Duration;

use tokio::time::Instant;

use super::Rate;

#[derive(Debug)]
pub(super) struct Window {
    rate: Rate,
    /// Counts the periods, so that what was taken in one is not given back in another.
    number: u64,
    /// `None` before the first.
    ends: Option<Instant>,
    left: u64,
}

/// One of the requests of a period.
#[derive(Debug)]
pub(super) struct Taken {
    number: u64,
}

impl Window {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            number: 0,
            ends: None,
            left: 0,
        }
    }

    /// Takes one of the requests of the period at `now`, or tells when the next begins.
    pub(super) fn take(&mut self, now: Instant) -> Result<Taken, Instant> {
        match self.ends {
            Some(ends) if now < ends => {}
            _ => {
                // A period that is too long for the clock is as good as one that lasts for ever.
                self.ends = Some(now + self.rate.period().min(FOR_EVER));
                self.left = self.rate.requests();
                self.number += 1;
            }
        }
        match (self.left.checked_sub(1), self.ends) {
            (Some(left), _) => {
                self.left = left;
                Ok(Taken {
                    number: self.number,
                })
            }
            (None, Some(ends)) => Err(ends),
            (None, None) => unreachable!("the first period has begun above"),
        }
    }

    pub(super) fn give_back(&mut self, taken: &Taken) {
        if taken.number == self.number {
            self.left += 1;
        }
    }
}

/// Some thirty years: what tokio's clock is sure to bear.
const FOR_EVER: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);

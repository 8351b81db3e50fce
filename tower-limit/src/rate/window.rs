//! The requests of the last period. Pure: the time comes in as an argument.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::Rate;

/// How many requests there were in the period that ends now, and how many there may be.
///
/// Requests that are close together, within a [`GROUPS`]th of the period, count as made when the last of them was. So
/// there is never more than the rate in any period, wherever it begins, and a request waits at most for a sixteenth of it
/// longer than it would have to.
#[derive(Debug)]
pub(super) struct Window {
    rate: Rate,
    /// The rate less the sum of the groups.
    left: u64,
    groups: VecDeque<Group>,
    /// The number of the first group: so many have ended.
    ended: u64,
}

#[derive(Debug)]
struct Group {
    first: Instant,
    last: Instant,
    requests: u64,
}

/// One of the requests of a group.
#[derive(Debug)]
pub(super) struct Taken {
    group: u64,
}

impl Window {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            left: rate.requests(),
            groups: VecDeque::with_capacity(GROUPS),
            ended: 0,
        }
    }

    /// Takes a request, or tells when there will be one.
    pub(super) fn take(&mut self, now: Instant) -> Result<Taken, Instant> {
        while let Some(oldest) = self.groups.front()
            && self.end(oldest) <= now
        {
            self.left += oldest.requests;
            self.ended += 1;
            self.groups.pop_front();
        }
        if self.left == 0 {
            let oldest = self
                .groups
                .front()
                .expect("some have taken what is not left");
            return Err(self.end(oldest));
        }
        self.left -= 1;
        let full = self.groups.len() == GROUPS;
        match self.groups.back_mut() {
            Some(newest)
                if full
                    || now.saturating_duration_since(newest.first)
                        < self.rate.period() / GROUPS as u32 =>
            {
                newest.last = newest.last.max(now);
                newest.requests += 1;
            }
            _ => self.groups.push_back(Group {
                first: now,
                last: now,
                requests: 1,
            }),
        }
        Ok(Taken {
            group: self.ended + self.groups.len() as u64 - 1,
        })
    }

    pub(super) fn give_back(&mut self, taken: &Taken) {
        // If the group has ended, it has been given back with it.
        let index = taken.group.checked_sub(self.ended);
        if let Some(group) = index.and_then(|index| self.groups.get_mut(index as usize)) {
            group.requests -= 1;
            self.left += 1;
        }
    }

    fn end(&self, group: &Group) -> Instant {
        // A period that is too long for the clock is as good as one that lasts for ever.
        group.last + self.rate.period().min(FOR_EVER)
    }
}

const GROUPS: usize = 16;

/// Some thirty years: what tokio's clock is sure to bear.
const FOR_EVER: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PERIOD: Duration = Duration::from_millis(160);

    proptest! {
        #[test]
        fn no_period_has_more_than_the_rate_nor_needlessly_less(
            rate in 1..40_u64,
            steps in prop::collection::vec(0..30_u64, 1..400),
        ) {
            let start = Instant::now();
            let mut now = start;
            let mut window = Window::new(Rate::new(rate, PERIOD));
            let mut taken: Vec<Instant> = Vec::new();
            for step in steps {
                now += Duration::from_millis(step);
                let within = |period: Duration| {
                    taken.iter().filter(|&&at| now - at < period).count() as u64
                };
                match window.take(now) {
                    Ok(_) => {
                        prop_assert!(within(PERIOD) < rate);
                        taken.push(now);
                    }
                    Err(next) => {
                        prop_assert!(next > now && next <= now + PERIOD);
                        prop_assert!(within(PERIOD + PERIOD / 16) >= rate);
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_given_back_is_there_again() {
        let start = Instant::now();
        let mut window = Window::new(Rate::new(2, PERIOD));
        let first = window.take(start).unwrap();
        let second = window.take(start + PERIOD / 2).unwrap();
        assert_eq!(window.take(start + PERIOD / 2).unwrap_err(), start + PERIOD);
        window.give_back(&second);
        let _second = window.take(start + PERIOD / 2).unwrap();
        let _third = window.take(start + PERIOD).unwrap();
        window.give_back(&first);
        assert!(
            window.take(start + PERIOD).is_err(),
            "what has ended is not given back twice"
        );
    }
}

//! The requests of the last period. Pure: the time comes in as an argument.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::Rate;

/// How many requests there were in the period that ends now, and how many there may be.
///
/// Requests count in batches, as made when the last of a batch was: so the clock is read once for each. And batches that
/// are close together, within a [`GROUPS`]th of the period, count as made with the last of them: so there are few to keep.
/// There is never more than the rate in any period, wherever it begins. The price: a request may wait for up to a sixteenth
/// of a period longer than it would have to, and up to one batch, a 64th of the rate, may count for later than it was.
#[derive(Debug)]
pub(super) struct Window {
    rate: Rate,
    /// How many requests count as one.
    batch_size: u64,
    /// The rate less the requests of the batch and of the groups.
    left: u64,
    /// The requests of the batch that is not complete.
    batch: u64,
    /// Counts the batches.
    number: u64,
    /// So many of them have ended with their groups.
    ended: u64,
    groups: VecDeque<Group>,
}

#[derive(Debug)]
struct Group {
    first: Instant,
    last: Instant,
    requests: u64,
    /// The number of its last batch.
    number: u64,
}

/// One of the requests of a batch.
#[derive(Debug)]
pub(super) struct Taken {
    batch: u64,
}

impl Window {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            batch_size: (rate.requests() / 64).clamp(1, MAX_BATCH),
            left: rate.requests(),
            batch: 0,
            number: 0,
            ended: 0,
            groups: VecDeque::with_capacity(GROUPS),
        }
    }

    /// Takes a request, or tells when there will be one.
    #[inline]
    pub(super) fn take(&mut self, now: impl FnOnce() -> Instant) -> Result<Taken, Instant> {
        if self.left > 1 && self.batch + 1 < self.batch_size {
            self.left -= 1;
            self.batch += 1;
            return Ok(Taken { batch: self.number });
        }
        self.take_last(now())
    }

    /// The last of the batch, or of all.
    fn take_last(&mut self, now: Instant) -> Result<Taken, Instant> {
        if self.left == 0 {
            self.complete_batch(now);
        }
        self.end_groups(now);
        if self.left == 0 {
            let oldest = self
                .groups
                .front()
                .expect("some have taken what is not left");
            return Err(self.end(oldest));
        }
        self.left -= 1;
        self.batch += 1;
        let batch = self.number;
        self.complete_batch(now);
        Ok(Taken { batch })
    }

    fn complete_batch(&mut self, now: Instant) {
        let (requests, number) = (self.batch, self.number);
        if requests == 0 {
            return;
        }
        self.batch = 0;
        self.number += 1;
        self.end_groups(now);
        let full = self.groups.len() == GROUPS;
        let width = self.rate.period() / GROUPS as u32;
        match self.groups.back_mut() {
            Some(newest) if full || now.saturating_duration_since(newest.first) < width => {
                newest.last = newest.last.max(now);
                newest.requests += requests;
                newest.number = number;
            }
            _ => self.groups.push_back(Group {
                first: now,
                last: now,
                requests,
                number,
            }),
        }
    }

    fn end_groups(&mut self, now: Instant) {
        while let Some(oldest) = self.groups.front()
            && self.end(oldest) <= now
        {
            self.left += oldest.requests;
            self.ended = oldest.number + 1;
            self.groups.pop_front();
        }
    }

    pub(super) fn give_back(&mut self, taken: &Taken) {
        let requests = if taken.batch < self.ended {
            // Given back with its group.
            None
        } else if taken.batch == self.number {
            Some(&mut self.batch)
        } else {
            // The first group that goes so far has it.
            let mut groups = self.groups.iter_mut();
            groups
                .find(|group| group.number >= taken.batch)
                .map(|group| &mut group.requests)
        };
        if let Some(requests) = requests
            && *requests > 0
        {
            *requests -= 1;
            self.left += 1;
        }
    }

    fn end(&self, group: &Group) -> Instant {
        // A period that is too long for the clock is as good as one that lasts for ever.
        group.last + self.rate.period().min(FOR_EVER)
    }
}

/// More would save nothing worth while.
const MAX_BATCH: u64 = 32;

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
            rate in prop_oneof![1..40_u64, 100..400_u64],
            steps in prop::collection::vec(prop_oneof![Just(0), 0..30_u64], 1..800),
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
                match window.take(|| now) {
                    Ok(_) => {
                        prop_assert!(within(PERIOD) < rate);
                        taken.push(now);
                    }
                    Err(next) => {
                        prop_assert!(next > now && next <= now + PERIOD);
                        // An incomplete batch may have been made long ago.
                        prop_assert!(within(PERIOD + PERIOD / 16) + rate / 64 >= rate);
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_given_back_is_there_again() {
        let start = Instant::now();
        let mut window = Window::new(Rate::new(2, PERIOD));
        let first = window.take(|| start).unwrap();
        let second = window.take(|| start + PERIOD / 2).unwrap();
        assert_eq!(
            window.take(|| start + PERIOD / 2).unwrap_err(),
            start + PERIOD
        );
        window.give_back(&second);
        let _second = window.take(|| start + PERIOD / 2).unwrap();
        let _third = window.take(|| start + PERIOD).unwrap();
        window.give_back(&first);
        assert!(
            window.take(|| start + PERIOD).is_err(),
            "what has ended is not given back twice"
        );
    }
}

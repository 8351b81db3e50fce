//! The requests of the last period. Pure: the time comes in as an argument.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::Rate;
use super::tickets::{Taken, Tickets};

/// How many requests there were in the period that ends now, and how many there may be.
///
/// Requests count in batches, as made when the last of a batch was: so the clock is read once for each. All but the last are
/// [`Tickets`], which are taken without this window. And batches that are close together, within a [`GROUPS`]th of the
/// period, count as made with the last of them: so there are few to keep. There is never more than the rate in any period,
/// wherever it begins. The price: a request may wait for up to a sixteenth of a period longer than it would have to, and up
/// to one batch, a 64th of the rate, may count for later than it was.
#[derive(Debug)]
pub(super) struct Window {
    rate: Rate,
    /// How many requests count as one, unless fewer are left.
    batch_size: u64,
    /// The rate less the requests of the open batch and of the groups.
    left: u64,
    /// The requests of the open batch, whether they are taken or not. If there is one its last has not been taken.
    open: u64,
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

impl Window {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            batch_size: (rate.requests() / 64).clamp(1, MAX_BATCH),
            left: rate.requests(),
            open: 0,
            number: 0,
            ended: 0,
            groups: VecDeque::with_capacity(GROUPS),
        }
    }

    /// Takes a request, or tells when there will be one. For those who have found no ticket.
    ///
    /// The clock is read after that: each ticket was taken before the time that the batch counts for.
    #[cold]
    pub(super) fn take(
        &mut self,
        tickets: &Tickets,
        now: impl FnOnce() -> Instant,
    ) -> Result<Taken, Instant> {
        // Another may have opened a batch meanwhile.
        if let Some(taken) = tickets.take() {
            return Ok(taken);
        }
        let now = now();
        if self.open == 0 {
            self.open(tickets, now)?;
            if let Some(taken) = tickets.take() {
                return Ok(taken);
            }
        }
        let batch = self.number;
        self.complete(now);
        // The next one finds tickets, unless nothing is left.
        let _ = self.open(tickets, now);
        Ok(Taken { batch })
    }

    /// Opens a batch, of which all but the last are tickets; or tells when it may. There is none open, and no ticket left.
    fn open(&mut self, tickets: &Tickets, now: Instant) -> Result<(), Instant> {
        self.end_groups(now);
        self.open = self.left.min(self.batch_size);
        self.left -= self.open;
        tickets.issue(self.number, self.open.saturating_sub(1));
        if self.open > 0 {
            return Ok(());
        }
        let oldest = self.groups.front();
        let oldest = oldest.expect("some have taken what is not left");
        Err(self.end(oldest))
    }

    /// The last of the batch is taken now.
    fn complete(&mut self, now: Instant) {
        let (requests, number) = (std::mem::take(&mut self.open), self.number);
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

    pub(super) fn give_back(&mut self, tickets: &Tickets, taken: &Taken) {
        if taken.batch == self.number {
            tickets.take_back();
        } else if taken.batch >= self.ended {
            // The first group that goes so far has it.
            let mut groups = self.groups.iter_mut();
            if let Some(group) = groups.find(|group| group.number >= taken.batch)
                && group.requests > 0
            {
                group.requests -= 1;
                self.left += 1;
            }
        }
        // Otherwise it was given back with its group.
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

#[cfg(all(test, tower_loom))]
impl Window {
    /// As if all but the given number of requests had just been made.
    pub(super) fn use_up_but(&mut self, left: u64) {
        let now = Instant::now();
        self.groups.push_back(Group {
            first: now,
            last: now,
            requests: self.left - left,
            number: self.number,
        });
        self.number += 1;
        self.left = left;
    }
}

#[cfg(all(test, not(tower_loom)))]
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
            let (mut window, tickets) = (Window::new(Rate::new(rate, PERIOD)), Tickets::new());
            let mut taken: Vec<Instant> = Vec::new();
            for step in steps {
                now += Duration::from_millis(step);
                let within = |period: Duration| {
                    taken.iter().filter(|&&at| now - at < period).count() as u64
                };
                match take(&mut window, &tickets, now) {
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

    /// As a handle does.
    fn take(window: &mut Window, tickets: &Tickets, now: Instant) -> Result<Taken, Instant> {
        match tickets.take() {
            Some(taken) => Ok(taken),
            None => window.take(tickets, || now),
        }
    }

    #[test]
    fn what_is_given_back_is_there_again() {
        let start = Instant::now();
        let (mut window, tickets) = (Window::new(Rate::new(2, PERIOD)), Tickets::new());
        let take = |window: &mut Window, at| take(window, &tickets, at);
        let first = take(&mut window, start).unwrap();
        let second = take(&mut window, start + PERIOD / 2).unwrap();
        assert_eq!(
            take(&mut window, start + PERIOD / 2).unwrap_err(),
            start + PERIOD
        );
        window.give_back(&tickets, &second);
        let _second = take(&mut window, start + PERIOD / 2).unwrap();
        let _third = take(&mut window, start + PERIOD).unwrap();
        window.give_back(&tickets, &first);
        assert!(
            take(&mut window, start + PERIOD).is_err(),
            "what has ended is not given back twice"
        );
    }

    #[test]
    fn a_ticket_that_is_given_back_is_there_again_also_after_some_came_in_vain() {
        let start = Instant::now();
        let (mut window, tickets) = (Window::new(Rate::new(640, PERIOD)), Tickets::new());
        let batch: Vec<_> = (0..9)
            .map(|_| take(&mut window, &tickets, start).unwrap())
            .collect();
        // As if two threads were about to lock the window.
        assert!(tickets.take().is_none() && tickets.take().is_none());
        window.give_back(&tickets, &batch[0]);
        let again = tickets.take().unwrap();
        assert_eq!(again.batch, batch[0].batch);
        assert!(tickets.take().is_none());
        let last = window.take(&tickets, || start).unwrap();
        assert_eq!(last.batch, again.batch);
        let next = tickets.take().unwrap();
        assert_eq!(next.batch, again.batch + 1);
    }
}

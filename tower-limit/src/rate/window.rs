//! The sliding window over the requests of the last period. Pure: the time is an argument.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::Rate;
use super::tickets::{Reservation, Tickets};

/// Counts the requests of the period that ends now, and how many are left.
///
/// Requests count in batches: all requests of a batch count as sent at the time of the last one, so the clock is read once per
/// batch. All but the last are [`Tickets`], which are taken without the window. Batches that are close together, within a
/// [`GROUPS`]th of the period, form a group and count as sent at the time of the last one, so only a few groups are kept. No
/// period has more requests than the rate, wherever it begins. The price: a request may wait for up to a sixteenth of a period
/// longer than necessary, and up to one batch, a 64th of the rate, may count as sent later than it was.
#[derive(Debug)]
pub(super) struct Window {
    rate: Rate,
    /// The number of requests in a batch, unless fewer are left.
    batch_size: u64,
    /// The rate less the requests of the open batch and of the groups.
    left: u64,
    /// The number of requests in the open batch, taken or not. Zero if no batch is open; otherwise its last request has not been
    /// taken.
    open: u64,
    /// The number of the open batch, or of the next one.
    number: u64,
    /// The number of batches that have expired with their groups.
    expired: u64,
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
            expired: 0,
            groups: VecDeque::with_capacity(GROUPS),
        }
    }

    /// Takes a request, or returns when there will be one. For handles that have found no ticket.
    ///
    /// The clock is read after the tickets are used up, so each ticket was taken before the time that its batch counts for.
    #[cold]
    pub(super) fn take(
        &mut self,
        tickets: &Tickets,
        now: impl FnOnce() -> Instant,
    ) -> Result<Reservation, Instant> {
        // Another handle may have opened a batch meanwhile.
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
        // The next handle finds tickets, unless the rate is used up.
        let _ = self.open(tickets, now);
        Ok(Reservation { batch })
    }

    /// Opens a batch, of which all requests but the last are tickets, or returns when that will be possible. No batch must be
    /// open, and no ticket left.
    fn open(&mut self, tickets: &Tickets, now: Instant) -> Result<(), Instant> {
        self.expire_groups(now);
        self.open = self.left.min(self.batch_size);
        self.left -= self.open;
        tickets.issue(self.number, self.open.saturating_sub(1));
        if self.open > 0 {
            return Ok(());
        }
        let oldest = self.groups.front();
        let oldest = oldest.expect("the rate is used up by requests in groups");
        Err(self.end(oldest))
    }

    /// Closes the open batch, whose last request is taken now.
    fn complete(&mut self, now: Instant) {
        let (requests, number) = (std::mem::take(&mut self.open), self.number);
        self.number += 1;
        self.expire_groups(now);
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

    fn expire_groups(&mut self, now: Instant) {
        while let Some(oldest) = self.groups.front()
            && self.end(oldest) <= now
        {
            self.left += oldest.requests;
            self.expired = oldest.number + 1;
            self.groups.pop_front();
        }
    }

    /// Returns a request that was not sent.
    pub(super) fn give_back(&mut self, tickets: &Tickets, taken: &Reservation) {
        if taken.batch == self.number {
            tickets.take_back();
        } else if taken.batch >= self.expired {
            // It is in the first group whose last batch is not before its own.
            let mut groups = self.groups.iter_mut();
            if let Some(group) = groups.find(|group| group.number >= taken.batch)
                && group.requests > 0
            {
                group.requests -= 1;
                self.left += 1;
            }
        }
        // Otherwise it has expired with its group.
    }

    fn end(&self, group: &Group) -> Instant {
        // Longer periods might overflow the clock.
        group.last + self.rate.period().min(MAX_PERIOD)
    }
}

/// Larger batches would save nothing that can be measured.
const MAX_BATCH: u64 = 32;

const GROUPS: usize = 16;

/// About thirty years, which tokio's clock can represent.
const MAX_PERIOD: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);

#[cfg(all(test, tower_loom))]
impl Window {
    /// Uses up all but `left` requests, as if they had just been sent.
    pub(super) fn use_up_all_but(&mut self, left: u64) {
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
        fn no_period_has_more_requests_than_the_rate_nor_fewer_than_possible(
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
                        // The requests of an incomplete batch may have been sent long before they count.
                        prop_assert!(within(PERIOD + PERIOD / 16) + rate / 64 >= rate);
                    }
                }
            }
        }
    }

    /// Takes a request as a handle does.
    fn take(window: &mut Window, tickets: &Tickets, now: Instant) -> Result<Reservation, Instant> {
        match tickets.take() {
            Some(taken) => Ok(taken),
            None => window.take(tickets, || now),
        }
    }

    #[test]
    fn a_returned_request_can_be_taken_again() {
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
            "an expired request is not returned twice"
        );
    }

    #[test]
    fn a_returned_ticket_can_be_taken_again_after_failed_takes() {
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

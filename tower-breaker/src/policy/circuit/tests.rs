use proptest::prelude::*;
use tower_classify::{Failure, FailureKind};
use tower_util::backoff::{Jitter, Schedule};
use tower_util::rng::SplitMix;

use super::*;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const FAILED: Class = Class::failure(FailureKind::Internal);

fn exactly(policy: BreakerPolicy) -> BreakerPolicy {
    policy.open_time(Schedule::exponential(SECOND, 8 * SECOND).with_jitter(Jitter::None))
}

/// A circuit with its time and its generator.
struct World {
    circuit: Circuit,
    now: Instant,
    rng: SplitMix,
}

impl World {
    fn new(policy: BreakerPolicy) -> Self {
        Self {
            circuit: Circuit::new(policy).unwrap(),
            now: Instant::now(),
            rng: SplitMix::with_seed(1),
        }
    }

    fn begin(&mut self) -> Ticket {
        self.circuit.begin(self.now).expect("lets it through")
    }

    fn end(&mut self, ticket: Ticket, class: Class, took: Duration) -> Option<Event> {
        let outcome = Outcome::new(class, took);
        self.circuit.end(ticket, outcome, self.now, &mut self.rng)
    }

    fn run(&mut self, class: Class) -> Option<Event> {
        self.run_for(class, Duration::ZERO)
    }

    fn run_for(&mut self, class: Class, took: Duration) -> Option<Event> {
        let ticket = self.begin();
        self.end(ticket, class, took)
    }

    fn state(&self) -> State {
        self.circuit.state(self.now)
    }

    fn retry_after(&mut self) -> Option<Duration> {
        self.circuit.begin(self.now).unwrap_err().retry_after()
    }
}

fn opened(open_for: Duration, cause: Cause) -> Option<Event> {
    let open_for = Some(open_for);
    Some(Event::Opened { open_for, cause })
}

#[test]
fn consecutive_failures_open_it_and_a_success_in_between_does_not() {
    let mut world = World::new(exactly(BreakerPolicy::never().consecutive_failures(3)));
    for class in [FAILED, Class::Unsent, Class::Success, FAILED, FAILED] {
        assert_eq!(world.run(class), None);
    }
    assert_eq!(world.run(Class::Ignored), None);
    let event = opened(SECOND, Cause::ConsecutiveFailures);
    assert_eq!(world.run(Class::Unsent), event);
    assert_eq!(world.retry_after(), Some(SECOND));
    world.now += 300 * MS;
    assert_eq!(world.retry_after(), Some(700 * MS));
}

#[test]
fn the_failure_ratio_opens_it_from_the_minimum_of_requests_on() {
    let policy = BreakerPolicy::never()
        .failure_ratio(0.5)
        .window(10 * SECOND, 4);
    let mut world = World::new(exactly(policy.clone()));
    for class in [FAILED, FAILED, FAILED] {
        assert_eq!(world.run(class), None);
    }
    assert_eq!(world.run(FAILED), opened(SECOND, Cause::FailureRatio));

    // Two of five are too few, three of six are not.
    let mut world = World::new(exactly(policy.clone()));
    for class in [FAILED, Class::Success, Class::Success, Class::Success] {
        assert_eq!(world.run(class), None);
    }
    assert_eq!(world.run(FAILED), None);
    assert_eq!(world.run(FAILED), opened(SECOND, Cause::FailureRatio));

    // A failure that has left the window does not count.
    let mut world = World::new(exactly(policy));
    for _ in 0..3 {
        assert_eq!(world.run(FAILED), None);
    }
    world.now += 11 * SECOND;
    for _ in 0..3 {
        assert_eq!(world.run(FAILED), None);
    }
    assert_eq!(world.run(FAILED), opened(SECOND, Cause::FailureRatio));
}

#[test]
fn slow_calls_open_it_also_if_they_succeed_or_are_cancelled() {
    let policy = BreakerPolicy::never().slow_calls(0.5, SECOND);
    let mut world = World::new(exactly(policy.window(10 * SECOND, 4)));
    assert_eq!(world.run_for(Class::Success, SECOND - MS), None);
    assert_eq!(world.run_for(FAILED, Duration::ZERO), None);
    // A request that was cancelled early does not count as one.
    assert_eq!(world.run_for(Class::Ignored, SECOND - MS), None);
    assert_eq!(world.run_for(Class::Success, SECOND), None);
    let event = opened(SECOND, Cause::SlowCalls);
    assert_eq!(world.run_for(Class::Ignored, SECOND), event);
    // A slow probe fails.
    world.now += SECOND;
    let event = opened(2 * SECOND, Cause::Probe);
    assert_eq!(world.run_for(Class::Success, SECOND), event);
}

#[test]
fn failed_probes_double_the_time_and_a_success_resets_it() {
    let mut world = World::new(exactly(BreakerPolicy::never().consecutive_failures(1)));
    let event = opened(SECOND, Cause::ConsecutiveFailures);
    assert_eq!(world.run(FAILED), event);
    for seconds in [2, 4, 8, 8] {
        let wait = world.retry_after().unwrap();
        world.now += wait;
        assert_eq!(world.state(), State::HalfOpen);
        assert_eq!(world.run(FAILED), opened(seconds * SECOND, Cause::Probe));
    }
    world.now += 8 * SECOND;
    assert_eq!(world.circuit.advance(world.now), Some(Event::HalfOpened));
    assert_eq!(world.circuit.advance(world.now), None);
    assert_eq!(world.run(Class::Success), Some(Event::Closed));
    assert_eq!(world.run(FAILED), event);
}

#[test]
fn the_last_delay_of_a_list_is_repeated() {
    let policy = BreakerPolicy::never().consecutive_failures(1);
    let mut world = World::new(policy.open_time(Schedule::list([SECOND, 3 * SECOND])));
    world.run(FAILED);
    for _ in 0..3 {
        world.now += 3 * SECOND;
        assert_eq!(world.run(FAILED), opened(3 * SECOND, Cause::Probe));
    }
    // Without any delay, each request is a probe.
    let policy = BreakerPolicy::never().consecutive_failures(1);
    let mut world = World::new(policy.open_time(Schedule::list([])));
    world.run(FAILED);
    assert_eq!(world.state(), State::HalfOpen);
}

#[test]
fn a_bounded_number_of_probes_is_in_flight_and_enough_successes_close_it() {
    let policy = BreakerPolicy::never().consecutive_failures(1).probes(2, 3);
    let mut world = World::new(exactly(policy));
    world.run(FAILED);
    world.now += SECOND;
    let (first, second) = (world.begin(), world.begin());
    assert_eq!(world.retry_after(), None);
    assert_eq!(world.end(first, Class::Success, MS), None);
    let third = world.begin();
    assert_eq!(world.retry_after(), None);
    // A probe that says nothing only frees its place.
    assert_eq!(world.end(second, Class::Ignored, MS), None);
    assert_eq!(world.end(third, Class::Success, MS), None);
    let (last, late) = (world.begin(), world.begin());
    assert_eq!(world.end(last, Class::Success, MS), Some(Event::Closed));
    // Of an earlier life.
    assert_eq!(world.end(late, FAILED, MS), None);
    assert_eq!(world.state(), State::Closed);
}

#[test]
fn a_probe_that_takes_too_long_no_longer_counts() {
    let policy = BreakerPolicy::never().consecutive_failures(1).probes(2, 2);
    let mut world = World::new(exactly(policy.max_probe_time(5 * SECOND)));
    world.run(FAILED);
    world.now += SECOND;
    let first = world.begin();
    world.now += 3 * SECOND;
    let second = world.begin();
    // The time is that of the last one.
    world.now += 5 * SECOND - MS;
    assert_eq!(world.retry_after(), None);
    world.now += MS;
    assert_eq!(world.circuit.advance(world.now), None);
    let (third, fourth) = (world.begin(), world.begin());
    assert_eq!(world.retry_after(), None);
    for late in [first, second] {
        assert_eq!(world.end(late, FAILED, MS), None);
    }
    assert_eq!(world.end(third, Class::Success, MS), None);
    assert_eq!(world.end(fourth, Class::Success, MS), Some(Event::Closed));
}

#[test]
fn results_of_requests_from_before_a_change_do_not_count() {
    let mut world = World::new(exactly(BreakerPolicy::never().consecutive_failures(1)));
    let tickets = [(); 3].map(|()| world.begin());
    let [first, second, third] = tickets;
    assert!(world.end(first, FAILED, MS).is_some());
    assert_eq!(world.end(second, FAILED, MS), None);
    world.now += SECOND;
    let probe = world.begin();
    assert_eq!(world.end(third, Class::Success, MS), None);
    assert_eq!(world.end(probe, Class::Success, MS), Some(Event::Closed));
}

#[test]
fn a_pushback_decides_when_the_probe_runs_up_to_the_cap() {
    let asks = |pushback| {
        let failure = Failure::new(FailureKind::Unavailable).with_pushback(Some(pushback));
        let policy = exactly(BreakerPolicy::never().consecutive_failures(1));
        let mut world = World::new(policy.max_pushback(100 * SECOND));
        world.run(failure.into());
        let first = world.retry_after().unwrap();
        world.now += first;
        world.run(FAILED);
        (first, world.retry_after().unwrap())
    };
    // The schedule goes on as if it had been used.
    assert_eq!(
        asks(Pushback::After(30 * MS)),
        (Duration::from_millis(30), 2 * SECOND)
    );
    assert_eq!(asks(Pushback::After(Duration::MAX)).0, 100 * SECOND);
    for nothing in [Pushback::Never, Pushback::After(Duration::ZERO)] {
        assert_eq!(asks(nothing).0, SECOND, "{nothing:?}");
    }
}

#[test]
fn jitter_spreads_the_open_time_between_half_and_all_of_it() {
    let mut world = World::new(BreakerPolicy::never().consecutive_failures(1));
    let times: Vec<_> = (0..1000)
        .map(|_| {
            world.circuit.reset();
            world.run(FAILED);
            world.retry_after().unwrap().as_secs_f64()
        })
        .collect();
    let (least, most) = times
        .iter()
        .fold((f64::MAX, 0.0_f64), |(a, b), t| (a.min(*t), b.max(*t)));
    assert!(
        (5.0..5.1).contains(&least) && (9.9..=10.0).contains(&most),
        "{least} to {most}"
    );
}

#[test]
fn forced_states_stay_until_it_is_reset() {
    let mut world = World::new(exactly(BreakerPolicy::never().consecutive_failures(1)));
    let forced = Event::Opened {
        open_for: None,
        cause: Cause::Forced,
    };
    let in_flight = world.begin();
    assert_eq!(world.circuit.force_open(), Some(forced));
    assert_eq!(world.circuit.force_open(), None);
    assert_eq!(world.end(in_flight, Class::Success, MS), None);
    world.now += 1000 * SECOND;
    assert_eq!(world.retry_after(), None);
    assert_eq!(world.state(), State::ForcedOpen);
    assert_eq!(world.circuit.force_closed(), Some(Event::Closed));
    for _ in 0..3 {
        assert_eq!(world.run(FAILED), None);
    }
    assert_eq!(world.state(), State::ForcedClosed);
    assert_eq!(world.circuit.reset(), None);
    assert!(world.run(FAILED).is_some());
    assert_eq!(world.circuit.reset(), Some(Event::Closed));
}

/// The rules, by the list of all results. No time passes while it is closed, and the window is longer than the test.
#[derive(Default)]
struct Oracle {
    /// Whether each request failed, and whether it was slow, since the circuit closed.
    results: Vec<(Option<bool>, bool)>,
}

impl Oracle {
    fn trips(&self) -> bool {
        let known: Vec<_> = self
            .results
            .iter()
            .filter(|(failed, slow)| failed.is_some() || *slow)
            .collect();
        let outcomes: Vec<bool> = known.iter().filter_map(|(failed, _)| *failed).collect();
        let in_a_row = outcomes.iter().rev().take_while(|failed| **failed).count();
        let failed = outcomes.iter().filter(|failed| **failed).count();
        let slow = known.iter().filter(|(_, slow)| *slow).count();
        in_a_row >= 4
            || (known.len() >= 6 && (2 * failed >= known.len() || 3 * slow >= known.len()))
    }
}

proptest! {
    #[test]
    fn it_opens_exactly_when_a_rule_says_so(
        results in prop::collection::vec((0_u8..5, prop::bool::weighted(0.2)), 1..60),
    ) {
        let policy = BreakerPolicy::never()
            .consecutive_failures(4)
            .failure_ratio(0.5)
            .slow_calls(1.0 / 3.0, SECOND)
            .window(1000 * SECOND, 6);
        let mut world = World::new(exactly(policy));
        let mut oracle = Oracle::default();
        for (result, slow) in results {
            let (class, failed) = match result {
                0..=2 => (Class::Success, Some(false)),
                3 => (FAILED, Some(true)),
                _ => (Class::Ignored, None),
            };
            oracle.results.push((failed, slow));
            let event = world.run_for(class, if slow { SECOND } else { MS });
            // A success that is not slow never opens it.
            let may_open = failed == Some(true) || slow;
            prop_assert_eq!(event.is_some(), may_open && oracle.trips());
            if event.is_some() {
                oracle = Oracle::default();
                world.now += SECOND;
                world.run(Class::Success);
            }
        }
    }

    /// Whatever begins, ends, is cancelled and is forced: never more probes than allowed, and never stuck.
    #[test]
    fn probes_are_bounded_and_it_is_never_stuck(
        steps in prop::collection::vec((0_u8..12, any::<prop::sample::Index>()), 0..300),
    ) {
        let policy = BreakerPolicy::never().consecutive_failures(2).probes(2, 2);
        let mut world = World::new(exactly(policy));
        let mut probes = Vec::new();
        let mut requests = Vec::new();
        for (step, index) in steps {
            match step {
                0..4 => {
                    let was = world.state();
                    if let Ok(ticket) = world.circuit.begin(world.now) {
                        match was {
                            State::HalfOpen => probes.push(ticket),
                            _ => requests.push(ticket),
                        }
                    }
                }
                4..8 => {
                    let class = [Class::Success, FAILED, FAILED, Class::Ignored][usize::from(step - 4)];
                    let tickets = if index.index(2) == 0 { &mut probes } else { &mut requests };
                    if !tickets.is_empty() {
                        let ticket = tickets.swap_remove(index.index(tickets.len()));
                        world.end(ticket, class, MS);
                    }
                }
                8..10 => world.now += 700 * MS,
                10 => drop(world.circuit.reset()),
                _ => drop(world.circuit.force_open()),
            }
            // Probes of an earlier time do not count.
            let life = world.circuit.life();
            let current = probes.iter().filter(|probe| probe.life() == life).count();
            prop_assert!(current <= 2);
        }
        for ticket in probes.into_iter().chain(requests) {
            world.end(ticket, Class::Ignored, MS);
        }
        if world.state() == State::ForcedOpen {
            world.circuit.reset();
        }
        for _ in 0..2 {
            world.now += 8 * SECOND;
            world.run(Class::Success);
        }
        prop_assert_eq!(world.state(), State::Closed);
    }
}

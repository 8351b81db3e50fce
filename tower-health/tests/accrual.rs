//! When an endpoint is marked dead, and how it is revived.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;
use tower_classify::Class::{Ignored, Success};
use tower_classify::{Class, FailureKind};
use tower_health::policy::accrual::{AccrualConfig, FailureAccrual, Status};
use tower_util::rng::SplitMix;

#[allow(non_upper_case_globals, reason = "beside the variants")]
const Failure: Class = Class::failure(FailureKind::Internal);

const SECOND: Duration = Duration::from_secs(1);

struct Endpoint {
    accrual: FailureAccrual,
    rng: SplitMix,
    now: Instant,
}

impl Endpoint {
    fn new(config: AccrualConfig) -> Self {
        let accrual = FailureAccrual::new(config).unwrap();
        Self {
            accrual,
            rng: SplitMix::with_seed(1),
            now: Instant::now(),
        }
    }

    fn serve(&mut self, outcome: Class) -> Status {
        let attempt = self.accrual.begin(self.now);
        self.accrual.end(attempt, outcome, self.now, &mut self.rng);
        self.status()
    }

    fn status(&self) -> Status {
        self.accrual.status(self.now)
    }

    /// Returns the number of failures until the endpoint is dead.
    fn failures_to_death(&mut self) -> u32 {
        (1..1000)
            .find(|_| self.serve(Failure) != Status::Alive)
            .unwrap()
    }

    /// Waits until the endpoint may be probed, and returns how long that took.
    fn wait(&mut self) -> Duration {
        let Status::Dead { until } = self.status() else {
            panic!("{:?}", self.status())
        };
        let wait = until - self.now;
        self.now = until;
        assert_eq!(self.status(), Status::ProbeOpen);
        wait
    }
}

fn never() -> AccrualConfig {
    AccrualConfig::never()
}

#[test]
fn the_third_consecutive_failure_marks_it_dead() {
    let mut endpoint = Endpoint::new(never().consecutive(3));
    for outcome in [Failure, Failure, Success, Failure, Failure, Ignored] {
        assert_eq!(endpoint.serve(outcome), Status::Alive);
    }
    assert!(matches!(endpoint.serve(Failure), Status::Dead { .. }));
}

/// The test vectors of Finagle.
#[test]
fn a_low_success_rate_over_the_last_requests_marks_it_dead() {
    let mut endpoint = Endpoint::new(never().success_rate_over(0.5, 100));
    (0..100).for_each(|_| assert_eq!(endpoint.serve(Success), Status::Alive));
    assert_eq!(endpoint.failures_to_death(), 70);
    let mut endpoint = Endpoint::new(never().success_rate_over(0.5, 5));
    assert_eq!(endpoint.failures_to_death(), 5);
}

/// The test vectors of linkerd2-proxy.
#[test]
fn a_low_success_rate_within_the_window_marks_it_dead_if_there_were_enough_requests() {
    for rate in [0.01, 0.5, 1.0] {
        let mut endpoint = Endpoint::new(never().success_rate_within(rate, 10 * SECOND, 5));
        assert_eq!(endpoint.failures_to_death(), 5);
    }
    // Two of ten fail: the rate is 0.8, and the next failure makes it 8 of 11.
    let scenario = |rate| {
        let mut endpoint = Endpoint::new(never().success_rate_within(rate, 10 * SECOND, 5));
        (0..2).for_each(|_| assert_eq!(endpoint.serve(Failure), Status::Alive));
        endpoint.now += 6 * SECOND;
        (0..8).for_each(|_| assert_eq!(endpoint.serve(Success), Status::Alive));
        endpoint
    };
    assert_eq!(scenario(0.72).serve(Failure), Status::Alive);
    assert_ne!(scenario(0.73).serve(Failure), Status::Alive);
    let mut later = scenario(0.8);
    later.now += 5 * SECOND;
    assert_eq!(
        later.serve(Failure),
        Status::Alive,
        "the first two are forgotten: 8 of 9"
    );
    later.now += 100 * SECOND;
    assert_eq!(later.failures_to_death(), 5, "the window is empty");
}

#[test]
fn either_rule_is_enough() {
    let mut endpoint = Endpoint::new(AccrualConfig::default());
    (0..1000).for_each(|_| assert_eq!(endpoint.serve(Success), Status::Alive));
    assert_eq!(endpoint.failures_to_death(), 5, "consecutive failures");
    let mut endpoint = Endpoint::new(AccrualConfig::default());
    for outcome in [Success, Failure, Success] {
        assert_eq!(endpoint.serve(outcome), Status::Alive);
    }
    assert_eq!(endpoint.failures_to_death(), 2, "two of five succeeded");
    let mut endpoint = Endpoint::new(never());
    (0..1000).for_each(|_| assert_eq!(endpoint.serve(Failure), Status::Alive));
}

#[test]
fn one_probe_at_a_time_decides() {
    let mut endpoint = Endpoint::new(never().consecutive(1));
    endpoint.serve(Failure);
    let first = endpoint.wait();
    assert!((5 * SECOND..=10 * SECOND).contains(&first));

    let probe = endpoint.accrual.begin(endpoint.now);
    assert_eq!(endpoint.status(), Status::ProbeClosed);
    endpoint
        .accrual
        .end(probe, Failure, endpoint.now, &mut endpoint.rng);
    let second = endpoint.wait();
    assert!((10 * SECOND..=20 * SECOND).contains(&second));

    let probe = endpoint.accrual.begin(endpoint.now);
    endpoint
        .accrual
        .end(probe, Ignored, endpoint.now, &mut endpoint.rng);
    assert_eq!(
        endpoint.status(),
        Status::ProbeOpen,
        "an ignored probe decides nothing"
    );

    let probe = endpoint.accrual.begin(endpoint.now);
    endpoint
        .accrual
        .end(probe, Success, endpoint.now, &mut endpoint.rng);
    assert_eq!(endpoint.status(), Status::Alive);
    endpoint.serve(Failure);
    assert!(endpoint.wait() <= 10 * SECOND, "the backoff starts again");
}

#[test]
fn the_backoff_grows_up_to_the_maximum() {
    let mut endpoint = Endpoint::new(AccrualConfig::default());
    assert_eq!(endpoint.failures_to_death(), 5);
    for half in [5, 10, 20, 40, 80, 150, 150, 150] {
        let wait = endpoint.wait();
        assert!(
            (half * SECOND..=2 * half * SECOND).contains(&wait),
            "{wait:?}"
        );
        endpoint.serve(Failure);
    }
}

#[test]
fn requests_that_began_before_a_change_of_the_status_do_not_count_after_it() {
    let mut endpoint = Endpoint::new(never().consecutive(1));
    let [late, later, latest] = [(); 3].map(|()| endpoint.accrual.begin(endpoint.now));
    endpoint.serve(Failure);
    let dead = endpoint.status();
    endpoint
        .accrual
        .end(late, Success, endpoint.now, &mut endpoint.rng);
    assert_eq!(endpoint.status(), dead);
    endpoint.wait();
    let probe = endpoint.accrual.begin(endpoint.now);
    endpoint
        .accrual
        .end(later, Success, endpoint.now, &mut endpoint.rng);
    assert_eq!(endpoint.status(), Status::ProbeClosed);
    endpoint
        .accrual
        .end(probe, Success, endpoint.now, &mut endpoint.rng);
    endpoint
        .accrual
        .end(latest, Failure, endpoint.now, &mut endpoint.rng);
    assert_eq!(endpoint.status(), Status::Alive);
}

#[test]
fn a_request_that_is_sent_despite_the_status_changes_nothing() {
    let mut endpoint = Endpoint::new(never().consecutive(1));
    let dead = endpoint.serve(Failure);
    for outcome in [Success, Failure, Ignored] {
        assert_eq!(endpoint.serve(outcome), dead);
    }
    endpoint.wait();
    let probe = endpoint.accrual.begin(endpoint.now);
    for outcome in [Success, Failure, Ignored] {
        assert_eq!(endpoint.serve(outcome), Status::ProbeClosed);
    }
    endpoint
        .accrual
        .end(probe, Success, endpoint.now, &mut endpoint.rng);
    assert_eq!(endpoint.status(), Status::Alive);
}

#[test]
fn a_revived_endpoint_has_no_history() {
    let mut endpoint = Endpoint::new(AccrualConfig::default());
    endpoint.failures_to_death();
    endpoint.accrual.revive();
    assert_eq!(endpoint.status(), Status::Alive);
    assert_eq!(endpoint.failures_to_death(), 5);
    assert!(endpoint.wait() <= 10 * SECOND);
}

proptest! {
    /// In any sequence, a successful probe revives the endpoint, and no wait exceeds the maximum.
    #[test]
    fn a_dead_endpoint_can_always_be_revived(steps in prop::collection::vec((0_u8..3, 0_u64..100), 0..200)) {
        let mut endpoint = Endpoint::new(AccrualConfig::default().success_rate_over(0.9, 0));
        for (outcome, seconds) in steps {
            endpoint.now += Duration::from_secs(seconds);
            endpoint.serve([Success, Failure, Ignored][usize::from(outcome)]);
            prop_assert_ne!(endpoint.status(), Status::ProbeClosed);
            if let Status::Dead { until } = endpoint.status() {
                prop_assert!(until - endpoint.now <= 300 * SECOND);
            }
        }
        if endpoint.status() != Status::Alive {
            endpoint.now += 300 * SECOND;
            prop_assert_eq!(endpoint.status(), Status::ProbeOpen);
            prop_assert_eq!(endpoint.serve(Success), Status::Alive);
        }
    }
}

//! `Retry` with policies of the test, and `TpsBudget`.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use proptest::prelude::*;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower_layer::Layer;
use tower_retry::budget::{Budget, TpsBudget};
use tower_retry::{Policy, RetryLayer};
use tower_service::Service;
use tower_test::mock::{self, Mock};
use tower_util::FutureService;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Inner = Mock<u32, u32>;

const SECOND: Duration = Duration::from_secs(1);

/// Retries errors `left` times, adding one to the request each time.
#[derive(Clone)]
struct Errors {
    left: u32,
    clones: bool,
}

impl Policy<u32, u32, Error> for Errors {
    type Future = Ready<()>;

    fn retry(&mut self, request: &mut u32, result: &mut Result<u32, Error>) -> Option<Ready<()>> {
        match result {
            Ok(response) => {
                *response *= 2;
                None
            }
            Err(_) => {
                *request += 1;
                self.left = self.left.checked_sub(1)?;
                Some(ready(()))
            }
        }
    }

    fn clone_request(&mut self, request: &u32) -> Option<u32> {
        self.clones.then_some(*request)
    }
}

fn errors(left: u32) -> RetryLayer<Errors> {
    RetryLayer::new(Errors { left, clones: true })
}

#[test]
fn sends_the_request_that_the_policy_has_changed() {
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(errors(2));
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    for expected in [1, 2] {
        assert_pending!(response.poll());
        let (request, send) = assert_ready!(handle.poll_request()).unwrap();
        assert_eq!(request, expected);
        send.send_error("again");
    }
    assert_pending!(response.poll());
    let (request, send) = assert_ready!(handle.poll_request()).unwrap();
    assert_eq!(request, 3);
    send.send_response(21);
    assert_eq!(
        assert_ready_ok!(response.poll()),
        42,
        "the policy may change the response"
    );
}

#[test]
fn ends_when_the_policy_returns_none() {
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(errors(1));
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    for last in [false, true] {
        assert_pending!(response.poll());
        assert_ready!(handle.poll_request())
            .unwrap()
            .1
            .send_error(if last { "second" } else { "first" });
    }
    assert_eq!(assert_ready_err!(response.poll()).to_string(), "second");
    assert_pending!(handle.poll_request());
}

#[test]
fn a_request_that_cannot_be_cloned_is_sent_once() {
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(RetryLayer::new(Errors {
        left: 9,
        clones: false,
    }));
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    assert_ready!(handle.poll_request())
        .unwrap()
        .1
        .send_error("only");
    assert_eq!(assert_ready_err!(response.poll()).to_string(), "only");
}

#[test]
fn waits_for_readiness_between_attempts() {
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(errors(1));
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    assert_ready!(handle.poll_request())
        .unwrap()
        .1
        .send_error("again");
    assert_pending!(response.poll());
    assert_pending!(handle.poll_request());
    handle.allow(1);
    assert!(response.is_woken());
    assert_pending!(response.poll());
    assert!(handle.poll_request().is_ready());
}

/// C22: in tower 0.5 such an error ends the request, without a call of the policy.
#[test]
fn the_policy_decides_about_errors_of_readiness() {
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(errors(2));
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    assert_ready!(handle.poll_request())
        .unwrap()
        .1
        .send_error("again");
    handle.send_error("not ready");
    assert_pending!(response.poll());
    assert_ready!(handle.poll_request())
        .unwrap()
        .1
        .send_response(1);
    assert_eq!(assert_ready_ok!(response.poll()), 2);
}

/// Counts the requests that it has cloned.
#[derive(Clone, Default)]
struct Counting {
    cloned: u32,
    seen: Arc<std::sync::Mutex<Vec<u32>>>,
}

impl Policy<u32, u32, Error> for Counting {
    type Future = Ready<()>;

    fn retry(&mut self, _request: &mut u32, _result: &mut Result<u32, Error>) -> Option<Ready<()>> {
        self.seen.lock().unwrap().push(self.cloned);
        None
    }

    fn clone_request(&mut self, request: &u32) -> Option<u32> {
        self.cloned += 1;
        Some(*request)
    }
}

/// C22: in tower 0.5 `clone_request` changes the policy of all later requests.
#[test]
fn each_request_has_its_own_policy() {
    let policy = Counting::default();
    let (mut service, mut handle) =
        mock::spawn_layer::<u32, u32, _>(RetryLayer::new(policy.clone()));
    for _ in 0..3 {
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(1));
        assert_ready!(handle.poll_request())
            .unwrap()
            .1
            .send_response(1);
        assert_ready_ok!(response.poll());
    }
    assert_eq!(*policy.seen.lock().unwrap(), [1, 1, 1]);
}

#[test]
fn dropping_the_future_ends_the_attempt() {
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(errors(9));
    assert_ready_ok!(service.poll_ready());
    let response = service.call(1);
    let (_, send) = assert_ready!(handle.poll_request()).unwrap();
    drop(response);
    assert!(send.is_cancelled());
    let _: Option<Inner> = Some(service.into_inner().into_inner());
}

fn withdrawals(budget: &TpsBudget) -> usize {
    std::iter::repeat_with(|| budget.withdraw())
        .take_while(|&allowed| allowed)
        .count()
}

/// C18, tower#857: in tower 0.5 fractions such as 0.3 and 0.75 become 33 % and 100 %.
#[tokio::test(start_paused = true)]
async fn the_fraction_is_exact() {
    for (share, expected) in [
        (0.0, 0),
        (0.1, 100),
        (0.3, 300),
        (0.4, 400),
        (0.75, 750),
        (0.9, 900),
        (1.0, 1000),
        (2.5, 2500),
    ] {
        let budget = TpsBudget::new(10 * SECOND, 0, share);
        for _ in 0..1000 {
            budget.deposit();
        }
        assert_eq!(withdrawals(&budget), expected, "{share}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_reserve_needs_no_requests_and_is_replenished() {
    let budget = TpsBudget::new(10 * SECOND, 3, 0.0);
    assert_eq!(withdrawals(&budget), 30);
    tokio::time::advance(11 * SECOND).await;
    assert_eq!(withdrawals(&budget), 30);
}

/// C16: in tower 0.5 a deposit expires after half of its `ttl` if there is traffic.
#[tokio::test(start_paused = true)]
async fn a_deposit_lasts_for_its_ttl() {
    let budget = TpsBudget::new(10 * SECOND, 0, 1.0);
    budget.deposit();
    for _ in 0..80 {
        tokio::time::advance(SECOND / 10).await;
        let _ = format!("{budget:?}");
    }
    assert_eq!(withdrawals(&budget), 1);
    budget.deposit();
    tokio::time::advance(11 * SECOND).await;
    assert_eq!(withdrawals(&budget), 0);
}

/// C17: in tower 0.5 the cost of the first deposit grows with the length of the idle time.
#[tokio::test(start_paused = true)]
async fn ten_idle_years_cost_nothing() {
    let budget = TpsBudget::new(SECOND, 1, 1.0);
    budget.deposit();
    tokio::time::advance(SECOND * 60 * 60 * 24 * 365 * 10).await;
    assert_eq!(withdrawals(&budget), 1);
}

proptest! {
    /// The retries in any window can draw only on the deposits of that window and of one `ttl` before it.
    #[test]
    fn no_window_has_more_retries_than_the_fraction(
        steps in prop::collection::vec((prop_oneof![Just(0_u32), 1..300_u32], 0_u64..3000), 1..60),
        share in 0.0_f32..2.0,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let ttl = 10 * SECOND;
        runtime.block_on(async {
            let budget = TpsBudget::new(ttl, 0, share);
            let start = tokio::time::Instant::now();
            let (mut deposits, mut retries) = (Vec::new(), Vec::new());
            for (count, wait) in steps {
                tokio::time::advance(Duration::from_millis(wait)).await;
                if count == 0 {
                    let allowed = withdrawals(&budget);
                    retries.extend(std::iter::repeat_n(start.elapsed(), allowed));
                } else {
                    (0..count).for_each(|_| budget.deposit());
                    deposits.push((start.elapsed(), count));
                }
            }
            for (index, &first) in retries.iter().enumerate() {
                for last in [index, retries.len() - 1] {
                    let from = first.saturating_sub(ttl);
                    let window = deposits.iter().filter(|(at, _)| (from..=retries[last]).contains(at));
                    let deposits: u32 = window.map(|(_, count)| count).sum();
                    let retries = last - index + 1;
                    prop_assert!(retries as f64 <= f64::from(deposits) * f64::from(share) + 1e-3);
                }
            }
            Ok(())
        })?;
    }
}

/// Fails a number of times, in `call` or in `poll_ready` of its clones. A clone has not failed.
struct Fragile {
    failed: bool,
    failures: Arc<AtomicUsize>,
}

impl Clone for Fragile {
    fn clone(&self) -> Self {
        Self {
            failed: false,
            failures: Arc::clone(&self.failures),
        }
    }
}

impl Fragile {
    fn fails(&self) -> bool {
        let less = |left: usize| left.checked_sub(1);
        let (order, failures) = (Ordering::Relaxed, &self.failures);
        failures.fetch_update(order, order, less).is_ok()
    }
}

impl Service<u32> for Fragile {
    type Response = u32;
    type Error = Error;
    type Future = Ready<Result<u32, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        assert!(!self.failed, "polled after its readiness failed");
        self.failed = self.fails();
        match self.failed {
            true => Poll::Ready(Err("not ready".into())),
            false => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: u32) -> Self::Future {
        assert!(!self.failed, "called after its readiness failed");
        ready(match self.fails() {
            true => Err("broken".into()),
            false => Ok(request),
        })
    }
}

#[test]
fn each_attempt_uses_a_service_that_has_not_failed() {
    let failures = Arc::new(AtomicUsize::new(0));
    let fragile = Fragile {
        failed: false,
        failures: Arc::clone(&failures),
    };
    let mut service = mock::Spawn::new(errors(5).layer(fragile));
    assert_ready_ok!(service.poll_ready());
    // The first attempt fails, and then `poll_ready` of four clones.
    failures.store(5, Ordering::Relaxed);
    let mut response = task::spawn(service.call(1));
    assert_eq!(assert_ready_ok!(response.poll()), 2 * 6);
}

/// A service that fails to connect returns that error once, and must not be polled again.
#[test]
fn a_service_that_is_made_by_a_future_is_made_again_for_each_attempt() {
    #[derive(Clone)]
    struct Made(Fragile);

    impl Service<u32> for Made {
        type Response = u32;
        type Error = Error;
        type Future = <Fragile as Service<u32>>::Future;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: u32) -> Self::Future {
            self.0.call(request)
        }
    }

    /// Each clone connects; the first clones fail to.
    struct Connecting(FutureService<Ready<Result<Made, Error>>, Made>, Fragile);

    impl Connecting {
        fn new(fragile: &Fragile) -> Self {
            let made = match fragile.fails() {
                true => Err("refused".into()),
                false => Ok(Made(fragile.clone())),
            };
            Self(FutureService::new(ready(made)), fragile.clone())
        }
    }

    impl Clone for Connecting {
        fn clone(&self) -> Self {
            Self::new(&self.1)
        }
    }

    impl Service<u32> for Connecting {
        type Response = u32;
        type Error = Error;
        type Future = <Made as Service<u32>>::Future;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
            self.0.poll_ready(cx)
        }

        fn call(&mut self, request: u32) -> Self::Future {
            self.0.call(request)
        }
    }

    let failures = Arc::new(AtomicUsize::new(0));
    let fragile = Fragile {
        failed: false,
        failures: Arc::clone(&failures),
    };
    let mut service = mock::Spawn::new(errors(5).layer(Connecting::new(&fragile)));
    assert_ready_ok!(service.poll_ready());
    // One for the clone that is kept and never polled, one for the request, and two for further clones.
    failures.store(4, Ordering::Relaxed);
    let mut response = task::spawn(service.call(1));
    assert_eq!(assert_ready_ok!(response.poll()), 2 * 4);
}

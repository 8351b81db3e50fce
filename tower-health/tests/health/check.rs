use std::collections::HashMap;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures_util::future::Either;
use tokio::time::{Instant, advance, timeout};
use tokio_test::{assert_pending, assert_ready_ok};
use tower_balance::p2c::Balance;
use tower_discover::channel;
use tower_health::check::{CheckConfig, CheckHealth, Verdict};
use tower_health::{Health, Reason, Standing};
use tower_service::Service;
use tower_test::mock::Spawn;
use tower_util::{BoxError, service_fn};

use crate::{Inner, SECOND, endpoint, gets_any};

const FAILS: Standing = Standing::Ejected(Reason::Checks);
const UNCHECKED: Standing = Standing::Ejected(Reason::Unchecked);

/// The verdicts of the checks, and when the checks ran. The check of an endpoint that is not in the map never
/// completes.
#[derive(Clone, Default)]
struct World(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    verdicts: HashMap<&'static str, Verdict>,
    checks: Vec<(&'static str, Instant)>,
    running: usize,
    most: usize,
}

/// A running check.
struct Running(World);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().running -= 1;
    }
}

impl World {
    fn set(&self, key: &'static str, verdict: Verdict) {
        self.0.lock().unwrap().verdicts.insert(key, verdict);
    }

    fn checks(&self) -> usize {
        self.0.lock().unwrap().checks.len()
    }

    fn check(
        &self,
    ) -> impl Service<&'static str, Response = Verdict, Error = BoxError> + Clone + use<> {
        let world = self.clone();
        service_fn(move |key| {
            let mut state = world.0.lock().unwrap();
            state.checks.push((key, Instant::now()));
            state.running += 1;
            state.most = state.most.max(state.running);
            let running = Running(world.clone());
            let verdict = state.verdicts.get(key).copied();
            drop(state);
            match verdict {
                Some(verdict) => Either::Left(std::future::ready(Ok(verdict))),
                None => Either::Right(async move {
                    let _running = running;
                    pending().await
                }),
            }
        })
    }
}

fn config() -> CheckConfig {
    CheckConfig::default().jitter_percent(0)
}

macro_rules! balance {
    ($config:expr, $world:expr) => {{
        let (sender, discover) = channel::<&str, Inner>(64);
        let discover = CheckHealth::new(discover, $config, $world.check()).unwrap();
        let health: Health<&str> = discover.health().clone();
        health.set_panic_threshold(0);
        (sender, health, Spawn::new(Balance::<_, u32>::new(discover)))
    }};
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_receives_requests_after_its_first_success_and_none_after_some_failures() {
    let world = World::default();
    world.set("a", Verdict::Failing);
    let (sender, health, mut balance) = balance!(config().thresholds(2, 2), world);
    let (a, mut handle) = endpoint(0);
    sender.insert("a", a).await.unwrap();
    assert_pending!(balance.poll_ready());
    assert_eq!(health.standing(&"a").unwrap().0, FAILS);

    for (verdict, standing) in [
        (Verdict::Healthy, FAILS),
        (Verdict::Healthy, Standing::Healthy),
        (Verdict::Failing, Standing::Healthy),
        (Verdict::Failing, FAILS),
        (Verdict::Healthy, FAILS),
        (Verdict::Healthy, Standing::Healthy),
        (Verdict::Unhealthy, FAILS),
    ] {
        world.set("a", verdict);
        advance(10 * SECOND).await;
        assert!(balance.is_woken());
        let _ = balance.poll_ready();
        assert_eq!(health.standing(&"a").unwrap().0, standing);
        let well = standing == Standing::Healthy;
        assert_eq!(gets_any(&mut balance, &mut handle), well);
    }
    let (b, mut b_handle) = endpoint(0);
    world.set("b", Verdict::Healthy);
    sender.insert("b", b).await.unwrap();
    assert!(
        gets_any(&mut balance, &mut b_handle),
        "one is enough at first"
    );
}

#[tokio::test(start_paused = true)]
async fn a_check_fails_after_its_timeout() {
    let world = World::default();
    let (sender, health, mut balance) = balance!(config(), world);
    let (a, _handle) = endpoint(0);
    sender.insert("a", a).await.unwrap();
    assert_pending!(balance.poll_ready());
    assert_eq!(health.standing(&"a").unwrap().0, UNCHECKED);
    advance(SECOND).await;
    assert!(balance.is_woken());
    assert_pending!(balance.poll_ready());
    assert_eq!(health.standing(&"a").unwrap().0, FAILS);
    assert_eq!(world.0.lock().unwrap().running, 0);
}

#[tokio::test(start_paused = true)]
async fn unchecked_endpoints_do_not_count_for_the_panic_threshold_and_failing_ones_do() {
    let world = World::default();
    let (sender, health, mut balance) = balance!(config(), world);
    health.set_panic_threshold(50);
    let (a, _handle) = endpoint(0);
    sender.insert("a", a).await.unwrap();
    assert_pending!(balance.poll_ready());
    assert!(!health.is_panic());
    advance(SECOND).await;
    assert_ready_ok!(balance.poll_ready());
    assert!(health.is_panic());
}

#[tokio::test(start_paused = true)]
async fn concurrency_is_limited_and_all_endpoints_are_checked() {
    let world = World::default();
    let config = config().concurrency(3);
    let (sender, _health, mut balance) = balance!(config, world);
    let keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut handles = Vec::new();
    for key in keys {
        let (inner, handle) = endpoint(0);
        handles.push(handle);
        sender.insert(key, inner).await.unwrap();
    }
    assert_pending!(balance.poll_ready());
    assert_eq!(world.checks(), 3);
    advance(SECOND).await;
    assert_pending!(balance.poll_ready());
    assert_eq!(world.checks(), 6);
    // An endpoint that is removed before its check is not checked.
    sender.remove("g").await.unwrap();
    assert_pending!(balance.poll_ready());
    advance(SECOND).await;
    assert_pending!(balance.poll_ready());
    let state = world.0.lock().unwrap();
    assert_eq!((state.checks.len(), state.most), (7, 3));
    assert_eq!(state.checks[6].0, "h");
}

#[tokio::test(start_paused = true)]
async fn without_requests_the_interval_may_be_longer_and_the_balancer_sleeps_meanwhile() {
    let world = World::default();
    world.set("a", Verdict::Healthy);
    let config = config().no_traffic_interval(Some(60 * SECOND));
    let (sender, _health, balance) = balance!(config, world);
    let mut balance = balance.into_inner();
    let (a, mut handle) = endpoint(0);
    handle.allow(0);
    sender.insert("a", a).await.unwrap();
    let mut polls = 0;
    let began = Instant::now();
    let idle = std::future::poll_fn(|cx| {
        polls += 1;
        assert!(polls < 100, "a busy loop");
        Service::<u32>::poll_ready(&mut balance, cx)
    });
    assert!(timeout(601 * SECOND, idle).await.is_err());
    assert!((11..=14).contains(&polls), "{polls}");
    assert_eq!(world.checks(), 11);

    handle.allow(9);
    let mut balance = Spawn::new(balance);
    assert_ready_ok!(balance.poll_ready());
    drop(balance.call(1));
    advance(59 * SECOND).await;
    assert_ready_ok!(balance.poll_ready());
    assert_eq!((world.checks(), began.elapsed().as_secs()), (12, 660));
    advance(10 * SECOND).await;
    assert_ready_ok!(balance.poll_ready());
    assert_eq!(world.checks(), 13);
}

#[tokio::test(start_paused = true)]
async fn the_no_traffic_interval_does_not_apply_to_ejected_endpoints() {
    let world = World::default();
    world.set("a", Verdict::Failing);
    let config = config().no_traffic_interval(Some(60 * SECOND));
    let (sender, _health, mut balance) = balance!(config, world);
    let (a, _handle) = endpoint(0);
    sender.insert("a", a).await.unwrap();
    for checks in 1..4 {
        assert_pending!(balance.poll_ready());
        assert_eq!(world.checks(), checks);
        advance(10 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn jitter_spreads_the_checks_of_endpoints() {
    let world = World::default();
    let (sender, _health, balance) = balance!(CheckConfig::default().jitter_percent(50), world);
    let mut balance = balance.into_inner();
    for key in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        world.set(key, Verdict::Failing);
        let (inner, _handle) = endpoint(0);
        sender.insert(key, inner).await.unwrap();
    }
    let idle = std::future::poll_fn(|cx| Service::<u32>::poll_ready(&mut balance, cx));
    let began = Instant::now();
    assert!(timeout(16 * SECOND, idle).await.is_err());
    let state = world.0.lock().unwrap();
    let seconds = |(_, at): &(_, Instant)| at.duration_since(began).as_secs_f64();
    let later: Vec<f64> = state.checks[8..].iter().map(seconds).collect();
    assert_eq!(later.len(), 8);
    assert!(
        later.iter().all(|at| (10.0..=15.01).contains(at)),
        "{later:?}"
    );
    assert!(later[7] - later[0] > 1.0, "{later:?}");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_removed_during_its_check_and_added_again_is_unchecked() {
    let world = World::default();
    let (sender, health, mut balance) = balance!(config(), world);
    let (a, _handle) = endpoint(0);
    sender.insert("a", a).await.unwrap();
    assert_pending!(balance.poll_ready());
    sender.remove("a").await.unwrap();
    assert_pending!(balance.poll_ready());
    assert!(health.is_empty());
    let (a, _handle) = endpoint(0);
    world.set("a", Verdict::Healthy);
    sender.insert("a", a).await.unwrap();
    assert_ready_ok!(balance.poll_ready());
    // The old check ends in the meantime, and is ignored.
    for _ in 0..5 {
        advance(SECOND).await;
        assert_ready_ok!(balance.poll_ready());
        assert_eq!(health.standing(&"a").unwrap().0, Standing::Healthy);
    }
    assert_eq!(world.checks(), 2);
}

#[tokio::test(start_paused = true)]
async fn checks_fail_while_the_check_service_fails_to_become_ready() {
    let (sender, discover) = channel::<&str, Inner>(64);
    let polled = Arc::default();
    let broken = Broken {
        failures: usize::MAX,
        failed: false,
        polled: Arc::clone(&polled),
    };
    let discover = CheckHealth::new(discover, config(), broken).unwrap();
    let health = discover.health().clone();
    health.set_panic_threshold(0);
    let mut balance = Spawn::new(Balance::<_, u32>::new(discover));
    let (a, _handle) = endpoint(0);
    sender.insert("a", a).await.unwrap();
    assert_pending!(balance.poll_ready());
    assert_eq!(health.standing(&"a").unwrap().0, FAILS);
    assert!(!balance.is_woken());
    assert_eq!(polled.load(Ordering::Relaxed), 1);
}

/// Fails to become ready at first; each clone is another attempt.
struct Broken {
    failures: usize,
    failed: bool,
    polled: Arc<AtomicUsize>,
}

impl Clone for Broken {
    fn clone(&self) -> Self {
        Self {
            failures: self.failures,
            failed: false,
            polled: Arc::clone(&self.polled),
        }
    }
}

impl Service<&'static str> for Broken {
    type Response = Verdict;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Verdict, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        assert!(!self.failed, "polled after its readiness failed");
        if self.polled.fetch_add(1, Ordering::Relaxed) < self.failures {
            self.failed = true;
            return Poll::Ready(Err("broken".into()));
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: &'static str) -> Self::Future {
        assert!(!self.failed, "called after its readiness failed");
        std::future::ready(Ok(Verdict::Healthy))
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_service_that_failed_to_become_ready_is_replaced_by_a_clone() {
    let (sender, discover) = channel::<&str, Inner>(64);
    let broken = Broken {
        failures: 2,
        failed: false,
        polled: Arc::default(),
    };
    let discover = CheckHealth::new(discover, config().thresholds(1, 1), broken).unwrap();
    let health = discover.health().clone();
    health.set_panic_threshold(0);
    let mut balance = Spawn::new(Balance::<_, u32>::new(discover));
    let mut handles = Vec::new();
    for key in ["a", "b", "c"] {
        let (inner, handle) = endpoint(0);
        handles.push(handle);
        sender.insert(key, inner).await.unwrap();
    }
    // Two checks fail for that reason, each with its own clone; the third is done.
    assert_ready_ok!(balance.poll_ready());
    assert_eq!(health.healthy(), 1);
    advance(10 * SECOND).await;
    assert_ready_ok!(balance.poll_ready());
    assert_eq!(health.healthy(), 3);
}

#[test]
fn configurations_out_of_range_are_rejected() {
    let zero = std::time::Duration::ZERO;
    for config in [
        config().interval(zero),
        config().no_traffic_interval(Some(zero)),
        config().timeout(zero),
        config().thresholds(0, 1),
        config().thresholds(1, 0),
        config().concurrency(0),
    ] {
        let (_, discover) = channel::<&str, Inner>(1);
        let check = World::default().check();
        assert!(
            CheckHealth::new(discover, config.clone(), check).is_err(),
            "{config:?}"
        );
    }
}

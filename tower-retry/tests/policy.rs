//! The standard policy: the number of attempts, their times, the budget, and the events for observers.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tower_classify::{Class, Failure, FailureKind, Pushback};
use tower_layer::Layer;
use tower_retry::backoff::{Jitter, Schedule};
use tower_retry::budget::{Budget, FailureBudget, Throttle, TpsBudget};
use tower_retry::{Attempt, GaveUp, Next, Retry, RetryLayer, RetryPolicy, RetryRules};
use tower_timeout::error::Elapsed;
use tower_util::{BoxError, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);

/// A budget without a limit.
struct Unlimited;

impl Budget for Unlimited {
    fn deposit(&self) {}

    fn withdraw(&self) -> bool {
        true
    }
}

/// A budget that counts the calls of its methods.
#[derive(Default)]
struct Counting {
    deposits: AtomicU32,
    withdrawals: AtomicU32,
    failures: AtomicU32,
    empty: bool,
}

impl Budget for Counting {
    fn deposit(&self) {
        self.deposits.fetch_add(1, Ordering::Relaxed);
    }

    fn withdraw(&self) -> bool {
        self.withdrawals.fetch_add(1, Ordering::Relaxed);
        !self.empty
    }
}

impl FailureBudget for Counting {
    fn fail(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counting {
    fn counts(&self) -> (u32, u32, u32) {
        let count = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
        (
            count(&self.deposits),
            count(&self.withdrawals),
            count(&self.failures),
        )
    }
}

#[derive(Debug, PartialEq)]
struct Failed(u32);

/// Fails `fails` times, then responds with the number of the attempt. Records the time of each call.
#[derive(Clone)]
struct Flaky {
    fails: u32,
    calls: Arc<Mutex<Vec<Instant>>>,
}

fn flaky(fails: u32) -> Flaky {
    Flaky {
        fails,
        calls: Arc::default(),
    }
}

impl tower_service::Service<&'static str> for Flaky {
    type Response = u32;
    type Error = Failed;
    type Future = std::future::Ready<Result<u32, Failed>>;

    fn poll_ready(
        &mut self,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Failed>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: &'static str) -> Self::Future {
        let mut calls = self.calls.lock().unwrap();
        calls.push(Instant::now());
        let attempt = calls.len() as u32;
        std::future::ready(if attempt <= self.fails {
            Err(Failed(attempt))
        } else {
            Ok(attempt)
        })
    }
}

impl Flaky {
    /// Returns when each attempt began, relative to the first.
    fn waits(&self) -> Vec<Duration> {
        let calls = self.calls.lock().unwrap();
        calls.iter().map(|&at| at - calls[0]).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn retries_up_to_the_number_of_attempts_with_the_waits_of_the_schedule() {
    let policy = RetryPolicy::builder()
        .attempts(4)
        .backoff(Schedule::exponential(10 * MS, 25 * MS).with_jitter(Jitter::None))
        .build();
    let service = flaky(9);
    let result = RetryLayer::new(policy.clone())
        .layer(service.clone())
        .oneshot("x")
        .await;
    assert_eq!(result, Err(Failed(4)));
    assert_eq!(service.waits(), [Duration::ZERO, 10 * MS, 30 * MS, 55 * MS]);

    let service = flaky(2);
    assert_eq!(
        Retry::new(policy, service.clone()).oneshot("x").await,
        Ok(3)
    );
}

#[tokio::test(start_paused = true)]
async fn one_attempt_or_none_neither_retries_nor_clones_the_request() {
    struct NoClone;

    impl RetryRules<&'static str, u32, Failed> for NoClone {
        fn classify(&self, _: &&'static str, _: Result<&u32, &Failed>) -> Class {
            RETRY
        }

        fn clone_request(&self, _: &&'static str) -> Option<&'static str> {
            panic!("the request must not be cloned")
        }
    }

    for attempts in [0, 1] {
        let policy = RetryPolicy::builder()
            .attempts(attempts)
            .rules(NoClone)
            .build();
        assert_eq!(
            Retry::new(policy, flaky(1)).oneshot("x").await,
            Err(Failed(1))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_retries_end_with_the_schedule() {
    let policy = RetryPolicy::builder()
        .attempts(9)
        .backoff(Schedule::list([MS]))
        .build();
    assert_eq!(
        Retry::new(policy, flaky(9)).oneshot("x").await,
        Err(Failed(2))
    );
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_waits() {
    let waits = async |seed| {
        let policy = RetryPolicy::builder()
            .attempts(5)
            .backoff(Schedule::exponential(100 * MS, 10_000 * MS))
            .seed(seed)
            .build();
        let service = flaky(9);
        let mut all = Vec::new();
        for _ in 0..2 {
            service.calls.lock().unwrap().clear();
            let _ = Retry::new(policy.clone(), service.clone())
                .oneshot("x")
                .await;
            all.push(service.waits());
        }
        all
    };
    let first = waits(7).await;
    assert_eq!(first, waits(7).await);
    assert_ne!(first, waits(8).await);
    assert_ne!(first[0], first[1], "each request has its own jitter");
}

#[tokio::test(start_paused = true)]
async fn the_closure_decides_by_request_and_result() {
    let policy = RetryPolicy::builder()
        .attempts(9)
        .budget(Arc::new(Unlimited))
        .retry_if(
            |request: &&str, result: Result<&u32, &Failed>| match result {
                // Responses under 5 are retried, and the third error is final.
                Ok(response) => *response < 5,
                Err(failed) => *request == "stubborn" || failed.0 != 3,
            },
        )
        .build();
    let ask = async |request, fails| {
        Retry::new(policy.clone(), flaky(fails))
            .oneshot(request)
            .await
    };
    assert_eq!(ask("x", 2).await, Ok(5));
    assert_eq!(ask("x", 7).await, Err(Failed(3)));
    assert_eq!(ask("stubborn", 7).await, Ok(8));
}

#[tokio::test(start_paused = true)]
async fn each_retry_is_withdrawn_and_each_result_is_counted_by_the_budget() {
    let ask = async |budget: &Arc<Counting>, fails| {
        let policy = RetryPolicy::builder()
            .attempts(3)
            .throttle(Arc::clone(budget) as Arc<_>)
            .build();
        Retry::new(policy, flaky(fails)).oneshot("x").await
    };
    let budget = Arc::new(Counting::default());
    ask(&budget, 0).await.unwrap();
    assert_eq!(budget.counts(), (1, 0, 0));
    ask(&budget, 1).await.unwrap();
    assert_eq!(budget.counts(), (2, 1, 0));
    assert_eq!(ask(&budget, 9).await, Err(Failed(3)));
    assert_eq!(budget.counts(), (2, 3, 1));

    let budget = Arc::new(Counting {
        empty: true,
        ..Counting::default()
    });
    assert_eq!(ask(&budget, 9).await, Err(Failed(1)));
    assert_eq!(budget.counts(), (0, 1, 0));
}

const RETRY: Class = Class::failure(FailureKind::Unknown);

fn retry_after(wait: Duration) -> Class {
    let failure = Failure::new(FailureKind::Unknown);
    failure.with_pushback(Some(Pushback::After(wait))).into()
}

/// Classifies the results as given, in order.
struct Scripted(Mutex<Vec<Class>>);

impl RetryRules<&'static str, u32, Failed> for Scripted {
    fn classify(&self, _: &&'static str, _: Result<&u32, &Failed>) -> Class {
        self.0.lock().unwrap().remove(0)
    }

    fn clone_request(&self, request: &&'static str) -> Option<&'static str> {
        Some(request)
    }

    fn deadline(&self, request: &&'static str) -> Option<Instant> {
        (*request == "urgent").then(|| Instant::now() + 50 * MS)
    }

    fn is_sendable(&self, request: &&'static str) -> bool {
        *request != "too long"
    }
}

/// Sends a request whose attempts have these classes. Returns the times of the attempts, the events for the observer, and the
/// counts of the budget.
async fn outcomes(
    request: &'static str,
    classes: &[Class],
) -> (Vec<Duration>, Vec<Next>, (u32, u32, u32)) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (observer, budget) = (Arc::clone(&seen), Arc::new(Counting::default()));
    let policy = RetryPolicy::builder()
        .attempts(3)
        .backoff(Schedule::constant(10 * MS))
        .throttle(Arc::clone(&budget) as Arc<_>)
        .rules(Scripted(Mutex::new(classes.to_vec())))
        .on_attempt(move |attempt: &Attempt| observer.lock().unwrap().push(*attempt))
        .build();
    let service = flaky(9);
    let _ = Retry::new(policy, service.clone()).oneshot(request).await;
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    for (index, attempt) in seen.iter().enumerate() {
        assert_eq!(attempt.number as usize, index + 1);
    }
    let next = seen.iter().map(|attempt| attempt.next).collect();
    (service.waits(), next, budget.counts())
}

#[tokio::test(start_paused = true)]
async fn each_class_is_handled_as_documented() {
    use Class::{Success, Unsent};
    use Next::RetryAfter;

    let zero = Duration::ZERO;
    let (waits, next, budget) = outcomes("x", &[RETRY, RETRY, RETRY]).await;
    assert_eq!(waits, [zero, 10 * MS, 20 * MS]);
    assert_eq!(
        next,
        [
            RetryAfter(10 * MS),
            RetryAfter(10 * MS),
            Next::GaveUp(GaveUp::Attempts)
        ]
    );
    assert_eq!(budget, (0, 2, 1));

    let (waits, _, budget) = outcomes("x", &[retry_after(70 * MS), Success]).await;
    assert_eq!((waits, budget), (vec![zero, 70 * MS], (1, 1, 0)));

    let refused = Failure::new(FailureKind::Unknown).with_pushback(Some(Pushback::Never));
    let (_, next, budget) = outcomes("x", &[refused.into()]).await;
    assert_eq!(
        (next, budget),
        (vec![Next::GaveUp(GaveUp::Refused)], (0, 0, 1))
    );

    for last in [Class::failure(FailureKind::Internal), Class::Ignored] {
        let (_, next, budget) = outcomes("x", &[last]).await;
        assert_eq!((next, budget), (vec![Next::Failure], (0, 0, 0)));
    }
    let (_, next, budget) = outcomes("x", &[Success]).await;
    assert_eq!((next, budget), (vec![Next::Success], (1, 0, 0)));

    // An unsent request is retried immediately and without drawing on the budget, but only once.
    let (waits, next, budget) = outcomes("x", &[Unsent, Unsent, Unsent]).await;
    assert_eq!(waits, [zero, zero, 10 * MS]);
    assert_eq!(next.last(), Some(&Next::GaveUp(GaveUp::Attempts)));
    assert_eq!(budget, (0, 1, 1));

    let (_, next, _) = outcomes("too long", &[RETRY]).await;
    assert_eq!(next, [Next::GaveUp(GaveUp::Body)]);
}

#[tokio::test(start_paused = true)]
async fn no_attempt_begins_after_the_deadline() {
    let (waits, next, budget) = outcomes("urgent", &[retry_after(50 * MS)]).await;
    assert_eq!(waits, [Duration::ZERO]);
    assert_eq!(next, [Next::GaveUp(GaveUp::Deadline)]);
    assert_eq!(budget, (0, 0, 1), "the budget must not be drawn on");
    let (waits, ..) = outcomes("urgent", &[retry_after(49 * MS), Class::Success]).await;
    assert_eq!(waits.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_times_out_is_dropped_and_retried() {
    let alive = Arc::new(());
    let attempts = Arc::new(AtomicU32::new(0));
    let service = {
        let (alive, attempts) = (Arc::clone(&alive), Arc::clone(&attempts));
        service_fn(move |()| {
            let alive = Arc::clone(&alive);
            let slow = attempts.fetch_add(1, Ordering::Relaxed) < 2;
            async move {
                if slow {
                    sleep(100 * MS).await;
                }
                Ok::<_, BoxError>(Arc::strong_count(&alive))
            }
        })
    };
    let start = Instant::now();
    let policy = RetryPolicy::builder()
        .attempt_timeout(30 * MS)
        .backoff(Schedule::none())
        .build();
    // The references of this test, the service, its clone and the last attempt: those of the first attempts were dropped.
    assert_eq!(
        Retry::new(policy, service.clone())
            .oneshot(())
            .await
            .unwrap(),
        4
    );
    assert_eq!(start.elapsed(), 60 * MS);

    attempts.store(0, Ordering::Relaxed);
    let policy = RetryPolicy::builder()
        .attempts(2)
        .attempt_timeout(30 * MS)
        .build();
    let error = Retry::new(policy, service).oneshot(()).await.unwrap_err();
    assert_eq!(
        error.downcast_ref::<Elapsed>().unwrap().timeout(),
        Some(30 * MS)
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_the_future_while_it_waits_ends_the_retries() {
    let policy = RetryPolicy::builder()
        .backoff(Schedule::constant(1000 * MS))
        .build();
    let service = flaky(9);
    let retry = Retry::new(policy, service.clone()).oneshot("x");
    assert!(tokio::time::timeout(500 * MS, retry).await.is_err());
    sleep(5000 * MS).await;
    assert_eq!(service.waits().len(), 1);
}

#[test]
fn a_throttle_allows_retries_while_more_than_half_of_the_tokens_are_left() {
    let throttle = Throttle::default();
    let allowed: Vec<_> = (0..6).map(|_| throttle.withdraw()).collect();
    assert_eq!(allowed, [true, true, true, true, false, false]);
    assert_eq!(throttle.tokens(), 4.0);
    for _ in 0..1000 {
        throttle.deposit();
    }
    assert_eq!(throttle.tokens(), 10.0, "never more than the maximum");
    for _ in 0..1000 {
        throttle.fail();
    }
    assert_eq!(throttle.tokens(), 0.0, "never below zero");
}

#[test]
fn an_invalid_parameter_of_a_throttle_is_named_in_the_error() {
    for (max, ratio, reason) in [
        (0, 0.1, "max_tokens is 0"),
        (1001, 0.1, "max_tokens is 1001"),
        (10, 0.0, "token_ratio is 0"),
        (10, f64::NAN, "token_ratio is NaN"),
        (10, -1.0, "token_ratio is -1"),
    ] {
        let error = Throttle::try_new(max, ratio).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
}

/// Deposits at a high rate are credited in batches; none may be lost, and none may count for longer than `ttl`.
#[tokio::test(start_paused = true)]
async fn batches_of_deposits_count_as_much_as_single_ones() {
    let budget = TpsBudget::new(10_000 * MS, 0, 0.5);
    for _ in 0..1_000 {
        budget.deposit();
    }
    assert_eq!(budget.available(), 500);
    for _ in 0..1_000 {
        tokio::time::advance(MS).await;
        budget.deposit();
    }
    assert_eq!(budget.available(), 1_000);
    tokio::time::advance(10_000 * MS).await;
    assert_eq!(budget.available(), 0);
    assert!(!budget.withdraw());
    assert_eq!(budget.refused(), 1);
    // At a low rate again, each deposit counts from its own time.
    for _ in 0..200 {
        budget.deposit();
        tokio::time::advance(2_000 * MS).await;
    }
    assert_eq!(budget.available(), 2);
}

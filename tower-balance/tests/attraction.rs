//! What an endpoint draws that fails at once, and looks idle and fast because of it. In virtual time, with the real balancer
//! and the real measure.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tower_balance::Balance;
use tower_balance::picker::{LeastLoaded, P2c, Picker};
use tower_balance::ready_cache::ReadyCache;
use tower_classify::{Class, FailureKind};
use tower_discover::ServiceList;
use tower_load::{CompleteOnResponse, PeakEwma};
use tower_service::Service;
use tower_util::{ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const ENDPOINTS: usize = 11;
/// Which of the endpoints is broken.
const BROKEN: usize = 4;
/// The most that it may draw, of all requests.
const MOST: f64 = 0.005;

#[derive(Clone, Copy, Debug)]
struct Case {
    /// How long the endpoints take that work.
    latency: Duration,
    /// How long the broken one takes to fail.
    fails_in: Duration,
    /// From one request to the next.
    every: Duration,
    default_rtt: Duration,
    requests: u32,
}

/// A second each, 100 per second.
const SECONDS: Case = Case {
    latency: SECOND,
    fails_in: MS,
    every: Duration::from_millis(10),
    default_rtt: SECOND,
    requests: 6_000,
};
/// Buoyant's latency, 1,000 per second.
const BUOYANTS: Case = Case {
    latency: Duration::from_millis(167),
    fails_in: MS,
    every: MS,
    default_rtt: Duration::from_millis(500),
    requests: 20_000,
};

/// What an endpoint does with the request that is sent at this time after the beginning.
#[derive(Clone, Copy)]
enum Does {
    Work,
    Fail,
    /// It answers, with a 503.
    Refuse,
}

type Conduct = fn(usize, Duration) -> Does;

/// Endpoint number 4 fails each request.
fn fails(number: usize, _: Duration) -> Does {
    match number {
        BROKEN => Does::Fail,
        _ => Does::Work,
    }
}

fn refuses(number: usize, _: Duration) -> Does {
    match number {
        BROKEN => Does::Refuse,
        _ => Does::Work,
    }
}

/// The share of each endpoint of the requests that are sent from `since` on.
async fn shares<P>(case: Case, conduct: Conduct, picker: P, since: Duration) -> Vec<f64>
where
    P: for<'a> Picker<ReadyCache<usize, Endpoint, ()>, ()>,
{
    let drawn: Arc<[AtomicU64]> = (0..ENDPOINTS).map(|_| AtomicU64::new(0)).collect();
    let start = Instant::now();
    let endpoints = (0..ENDPOINTS).map(|number| {
        let drawn = Arc::clone(&drawn);
        let serve = Box::new(move |()| {
            let at = start.elapsed();
            if at >= since {
                drawn[number].fetch_add(1, Relaxed);
            }
            let does = conduct(number, at);
            let answer: Answer = Box::pin(async move {
                match does {
                    Does::Work => sleep(case.latency).await,
                    _ => sleep(case.fails_in).await,
                }
                match does {
                    Does::Work => Ok(200),
                    Does::Refuse => Ok(503),
                    Does::Fail => Err("broken"),
                }
            });
            answer
        });
        let service = service_fn(serve as Serve);
        let completion = CompleteOnResponse::default();
        PeakEwma::new(service, case.default_rtt, 1e10, completion).classify(classify as Classify)
    });
    let list = ServiceList::new::<()>(endpoints.collect::<Vec<Endpoint>>());
    let mut balance = Balance::with_picker(list, picker);
    for number in 0..case.requests {
        sleep_until(start + case.every * number).await;
        let answer = balance.ready().await.unwrap().call(());
        tokio::spawn(async move {
            let _broken = answer.await;
        });
    }
    let drawn: Vec<_> = drawn.iter().map(|drawn| drawn.load(Relaxed)).collect();
    let all = drawn.iter().sum::<u64>() as f64;
    drawn.iter().map(|drawn| *drawn as f64 / all).collect()
}

type Answer = std::pin::Pin<Box<dyn Future<Output = Result<u16, &'static str>> + Send>>;
type Serve = Box<dyn FnMut(()) -> Answer + Send>;
type Classify = fn(Result<&u16, &&'static str>) -> Class;
type Endpoint = PeakEwma<tower_util::ServiceFn<Serve>, CompleteOnResponse, Classify>;

fn classify(result: Result<&u16, &&'static str>) -> Class {
    match result {
        Ok(500..) => Class::failure(FailureKind::Internal),
        Ok(_) => Class::Success,
        Err(_) => Class::failure(FailureKind::Unknown),
    }
}

async fn assert_little_is_drawn(case: Case, conduct: Conduct) {
    let share = shares(case, conduct, P2c::new(), Duration::ZERO).await[BROKEN];
    assert!(share <= MOST, "{case:?} draws {share}");
    assert!(share > 0.0, "its recovery could not be seen: {case:?}");
}

/// 18.1 % while a failure counted for 5 s at most: the others, with nine requests in flight each, looked worse.
#[tokio::test(start_paused = true)]
async fn beside_endpoints_of_a_second_a_failing_one_draws_little() {
    for default_rtt in [30 * MS, SECOND, 5 * SECOND] {
        let case = Case {
            default_rtt,
            ..SECONDS
        };
        assert_little_is_drawn(case, fails).await;
    }
}

/// 2.4 to 4.9 %, with an estimate at the beginning of several times what is usual.
#[tokio::test(start_paused = true)]
async fn whatever_the_first_estimate_is_a_failing_one_draws_little() {
    for default_rtt in [0, 1, 30, 500, 1_000, 3_000] {
        let case = Case {
            default_rtt: default_rtt * MS,
            ..BUOYANTS
        };
        assert_little_is_drawn(case, fails).await;
    }
}

/// 20 %.
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_classified_as_a_failure_is_one() {
    for case in [SECONDS, BUOYANTS] {
        assert_little_is_drawn(case, refuses).await;
    }
}

/// With about as many requests in flight at each scale, and with many more.
#[tokio::test(start_paused = true)]
async fn at_any_scale_of_latency_a_failing_one_draws_little() {
    for (latency, every) in [
        (MS, MS),
        (10 * MS, MS),
        (100 * MS, MS),
        (SECOND, 10 * MS),
        (10 * SECOND, 100 * MS),
        (100 * SECOND, SECOND),
        (10 * SECOND, 10 * MS),
    ] {
        let case = Case {
            latency,
            every,
            default_rtt: 3 * latency,
            ..SECONDS
        };
        assert_little_is_drawn(case, fails).await;
    }
}

/// While it has not failed yet, a request looks like one of those that will be answered.
#[tokio::test(start_paused = true)]
async fn however_fast_it_fails_it_draws_little() {
    for fails_in in [Duration::ZERO, MS, 50 * MS] {
        let case = Case {
            fails_in,
            ..BUOYANTS
        };
        assert_little_is_drawn(case, fails).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_looks_at_all_sends_it_as_little() {
    for case in [SECONDS, BUOYANTS] {
        let share = shares(case, fails, LeastLoaded::of_all(), Duration::ZERO).await[BROKEN];
        assert!(share > 0.0 && share <= MOST, "{case:?} draws {share}");
    }
}

/// It fails every other request at once.
#[tokio::test(start_paused = true)]
async fn one_that_fails_half_of_its_requests_draws_much_less_than_its_share() {
    fn half(number: usize, at: Duration) -> Does {
        match number {
            BROKEN if (at.as_millis() / 10).is_multiple_of(2) => Does::Fail,
            _ => Does::Work,
        }
    }
    let share = shares(SECONDS, half, P2c::new(), Duration::ZERO).await[BROKEN];
    assert!(share < 0.25 / ENDPOINTS as f64, "{share}");
}

#[tokio::test(start_paused = true)]
async fn one_that_has_recovered_has_its_share_again() {
    fn for_twenty_seconds(number: usize, at: Duration) -> Does {
        match number {
            BROKEN if at < 20 * SECOND => Does::Fail,
            _ => Does::Work,
        }
    }
    let case = Case {
        requests: 12_000,
        ..SECONDS
    };
    // A trial is due every 20 to 40 s.
    let share = shares(case, for_twenty_seconds, P2c::new(), 65 * SECOND).await[BROKEN];
    let fair = 1.0 / ENDPOINTS as f64;
    assert!((0.8 * fair..1.5 * fair).contains(&share), "{share}");
}

/// Their failures have multiplied the penalties as often as there were requests. None of them is left alone with everything
/// for long.
#[tokio::test(start_paused = true)]
async fn all_that_were_broken_at_once_have_their_shares_again() {
    fn for_five_seconds(_: usize, at: Duration) -> Does {
        match at {
            at if at < 5 * SECOND => Does::Fail,
            _ => Does::Work,
        }
    }
    let case = Case {
        requests: 70_000,
        ..BUOYANTS
    };
    let shares = shares(case, for_five_seconds, P2c::new(), 40 * SECOND).await;
    let fair = 1.0 / ENDPOINTS as f64;
    for share in &shares {
        assert!((0.5 * fair..2.0 * fair).contains(share), "{shares:?}");
    }
}

//! What is hammered.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::Stream;
use http::StatusCode;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tower::discover::Change;
use tower::health::policy::outlier::OutlierConfig;
use tower::health::{
    AccrueFailures, EjectOutliers, EndpointStates, ErrorIsFailure, Health, Observe,
};
use tower::hedge::{Hedge, HedgeLayer};
use tower::limit::keyed::{KeyPermits, KeyRates, KeyedLimit};
use tower::limit::rate::{Rate, TokenBucket};
use tower::limit::weighted::WeightedConcurrencyLimitLayer;
use tower::limit::{ConcurrencyLimit, GlobalRateLimitLayer, RateLimit};
use tower::load::estimate::Estimate;
use tower::load::pending_requests::Counter;
use tower::load::{CompleteOnResponse, PendingRequests};
use tower::load_shed::LoadShed;
use tower::retry::budget::{Budget, Throttle, TpsBudget};
use tower::retry::{Retry, RetryPolicy};
use tower::timeout::{Deadline, EnforceDeadline, Timeout};
use tower::util::ServiceFn;
use tower::{Layer, Service, service_fn};
use tower_classify::Class;

#[path = "../../../../examples/proxy/src/metrics/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the proxy's, for its own use"
)]
mod metrics;

/// Runs the given number of operations.
pub type Work = Box<dyn FnMut(u64) + Send>;

/// One thing that tasks share.
pub struct Case {
    pub name: &'static str,
    /// How many times an operation writes what all threads write: additions, exchanges and stores. `None` where locks are taken.
    pub writes: Option<u32>,
    /// How many times it reads the clock.
    pub clocks: u32,
    /// Makes the thing. What is returned makes a handle on it for another thread, with what the thread does.
    pub prepare: fn() -> Box<dyn FnMut() -> Work>,
}

pub const ALL: &[Case] = &[
    Case {
        name: "an atomic counter",
        writes: Some(1),
        clocks: 0,
        prepare: || {
            shared(AtomicU64::new(0), |counter| {
                black_box(counter.fetch_add(1, Ordering::Relaxed));
            })
        },
    },
    Case {
        name: "a `std::sync::Mutex` around one",
        writes: Some(2),
        clocks: 0,
        prepare: || {
            shared(Mutex::new(0_u64), |counter| {
                *black_box(counter.lock().unwrap()) += 1
            })
        },
    },
    Case {
        name: "the clock (nothing shared)",
        writes: Some(0),
        clocks: 1,
        prepare: || {
            shared((), |()| {
                black_box(Instant::now());
            })
        },
    },
    Case {
        name: "`ConcurrencyLimit`",
        writes: Some(2),
        clocks: 0,
        prepare: || cloned(ConcurrencyLimit::new(echo_fn(), 100)),
    },
    Case {
        name: "`ConcurrencyLimit` by a tokio `Semaphore`",
        writes: None,
        clocks: 0,
        prepare: || {
            let semaphore = Arc::new(Semaphore::new(100));
            cloned(ConcurrencyLimit::with_semaphore(echo_fn(), semaphore))
        },
    },
    Case {
        name: "`RateLimit`, 2⁴⁰ per second",
        writes: Some(1),
        clocks: 0,
        prepare: || rate_limited(1 << 40),
    },
    Case {
        name: "`RateLimit`, `u64::MAX / 2` per second",
        writes: Some(1),
        clocks: 0,
        prepare: || rate_limited(u64::MAX / 2),
    },
    Case {
        name: "`RateLimit` by a token bucket, not full",
        writes: Some(1),
        clocks: 1,
        prepare: || cloned(RateLimit::token_bucket(echo_fn(), bucket())),
    },
    Case {
        name: "`WeightedConcurrencyLimit`",
        writes: Some(4),
        clocks: 0,
        prepare: || cloned(WeightedConcurrencyLimitLayer::new(1000, |_: &u64| 10).layer(echo_fn())),
    },
    Case {
        name: "`KeyedRateLimit`, one key",
        writes: None,
        clocks: 1,
        prepare: || keyed_rates(|_| 0),
    },
    Case {
        name: "`KeyedRateLimit`, 1,000 keys",
        writes: None,
        clocks: 1,
        prepare: || keyed_rates(any_of_1000),
    },
    Case {
        name: "`KeyedConcurrencyLimit`, one key",
        writes: None,
        clocks: 0,
        prepare: || keyed_permits(|_| 0),
    },
    Case {
        name: "`KeyedConcurrencyLimit`, 1,000 keys",
        writes: None,
        clocks: 0,
        prepare: || keyed_permits(any_of_1000),
    },
    Case {
        name: "`LoadShed`, `ConcurrencyLimit` inside",
        writes: Some(2),
        clocks: 0,
        prepare: || cloned(LoadShed::new(ConcurrencyLimit::new(echo_fn(), 100))),
    },
    Case {
        name: "`LoadShed`",
        writes: Some(0),
        clocks: 0,
        prepare: || cloned(LoadShed::new(echo_fn())),
    },
    Case {
        name: "`Timeout`, answered at once",
        writes: Some(0),
        clocks: 0,
        prepare: || cloned(Timeout::new(echo_fn(), HOUR)),
    },
    Case {
        name: "`Timeout`, answered at the second poll",
        writes: Some(2),
        clocks: 1,
        prepare: || cloned(Timeout::new(service_fn(echo_later), HOUR)),
    },
    Case {
        name: "`EnforceDeadline`",
        writes: Some(0),
        clocks: 1,
        prepare: || {
            let deadline = Deadline::after(Instant::now(), HOUR);
            cloned(EnforceDeadline::new(echo_fn(), move |_: &u64| {
                Some(deadline)
            }))
        },
    },
    Case {
        name: "`TpsBudget`, a deposit",
        writes: Some(1),
        clocks: 0,
        prepare: || shared(TpsBudget::default(), |budget| budget.deposit()),
    },
    Case {
        name: "`TpsBudget`, a retry that is allowed",
        writes: Some(1),
        clocks: 1,
        prepare: || {
            let budget = TpsBudget::new(Duration::from_secs(60), i32::MAX as u32, 0.2);
            shared(budget, |budget| assert!(budget.withdraw()))
        },
    },
    Case {
        name: "`TpsBudget`, a retry that is refused",
        writes: Some(1),
        clocks: 1,
        prepare: || {
            let budget = TpsBudget::new(Duration::from_secs(60), 0, 0.0);
            shared(budget, |budget| assert!(!budget.withdraw()))
        },
    },
    Case {
        name: "`TpsBudget`, a deposit and a retry",
        writes: Some(2),
        clocks: 1,
        prepare: || {
            shared(
                TpsBudget::new(Duration::from_secs(60), 0, 1000.0),
                |budget| {
                    budget.deposit();
                    black_box(budget.withdraw());
                },
            )
        },
    },
    Case {
        name: "`Throttle`, a deposit into a full one",
        writes: Some(0),
        clocks: 0,
        prepare: || shared(Throttle::default(), |budget| budget.deposit()),
    },
    Case {
        name: "`Throttle`, a deposit and a retry",
        writes: Some(2),
        clocks: 0,
        prepare: || {
            shared(Throttle::try_new(1000, 1.0).unwrap(), |budget| {
                budget.deposit();
                black_box(budget.withdraw());
            })
        },
    },
    Case {
        name: "`Throttle`, a retry that is refused",
        writes: Some(0),
        clocks: 0,
        prepare: || {
            shared(Throttle::default(), |budget| {
                black_box(budget.withdraw());
            })
        },
    },
    Case {
        name: "`Retry`, a `RetryPolicy`, without a retry",
        writes: Some(1),
        clocks: 0,
        prepare: || {
            let policy = RetryPolicy::builder()
                .retry_if(|_: &u64, result: Result<&u64, &Infallible>| *result.unwrap() == u64::MAX)
                .build();
            cloned(Retry::new(policy, echo_fn()))
        },
    },
    Case {
        name: "`Hedge::new`, not sent twice",
        writes: Some(1),
        clocks: 2,
        prepare: || {
            let (percentile, latencies) = (0.99, &[1000; 100]);
            cloned(Hedge::new_with_mock_latencies(
                echo_fn(),
                Twice,
                10,
                percentile,
                HOUR,
                latencies,
            ))
        },
    },
    Case {
        name: "`HedgeLayer::builder`, not sent twice",
        writes: Some(0),
        clocks: 2,
        prepare: || {
            let layer = HedgeLayer::builder().when(|_: &u64| true).build().unwrap();
            cloned(layer.layer(echo_fn()))
        },
    },
    Case {
        name: "`PendingRequests`, one `Counter`",
        writes: Some(2),
        clocks: 0,
        prepare: || {
            let counter = Counter::default();
            Box::new(move || {
                let completion = CompleteOnResponse::default();
                driven(PendingRequests::with_counter(
                    echo_fn(),
                    completion,
                    &counter,
                ))
            })
        },
    },
    Case {
        name: "`Estimate` (of `PeakEwma`, without its clock)",
        writes: Some(3),
        clocks: 0,
        prepare: || estimate(false),
    },
    Case {
        name: "`Estimate`, and its load read",
        writes: Some(3),
        clocks: 0,
        prepare: || estimate(true),
    },
    Case {
        name: "`EjectOutliers`, one endpoint",
        writes: Some(1),
        clocks: 1,
        prepare: || {
            let config = OutlierConfig::default();
            endpoints(EjectOutliers::new(Same, config, ErrorIsFailure).unwrap())
        },
    },
    Case {
        name: "`EjectOutliers`, an endpoint per thread",
        writes: Some(0),
        clocks: 1,
        prepare: || {
            let config = OutlierConfig::default();
            endpoints(EjectOutliers::new(Each(0), config, ErrorIsFailure).unwrap())
        },
    },
    Case {
        name: "`AccrueFailures`, one endpoint",
        writes: Some(1),
        clocks: 2,
        prepare: || {
            endpoints(AccrueFailures::new(Same, Default::default(), ErrorIsFailure).unwrap())
        },
    },
    Case {
        name: "`Observe`, one endpoint",
        writes: Some(2),
        clocks: 0,
        prepare: || endpoints(Observe::new(Same, EndpointStates::new(Health::new()))),
    },
    Case {
        name: "the proxy's metrics of a route, a request",
        writes: Some(0),
        clocks: 2,
        prepare: || {
            let metrics = proxy_metrics();
            shared(metrics, |metrics| {
                let mut request = metrics.routes[0].begin();
                request.answered(StatusCode::OK);
            })
        },
    },
    Case {
        name: "the proxy's metrics of a route, a failure",
        writes: Some(1),
        clocks: 0,
        prepare: || {
            shared(proxy_metrics(), |metrics| {
                metrics.routes[0].failed("timeout")
            })
        },
    },
    Case {
        name: "the proxy's metrics of an endpoint, a request",
        writes: Some(2),
        clocks: 0,
        prepare: || {
            shared(proxy_metrics(), |metrics| {
                let endpoint = &metrics.clusters[0].endpoints[0];
                endpoint.requests.inc();
                endpoint.set_ready(true);
                endpoint.answered(StatusCode::OK);
            })
        },
    },
];

const HOUR: Duration = Duration::from_secs(3600);

type Echo = ServiceFn<fn(u64) -> Ready<Result<u64, Infallible>>>;

fn echo_fn() -> Echo {
    service_fn((|n| ready(Ok(n))) as fn(u64) -> _)
}

/// Ready at the second poll.
fn echo_later(n: u64) -> impl Future<Output = Result<u64, Infallible>> {
    let mut polled = false;
    std::future::poll_fn(move |_| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(Ok(n));
        }
        Poll::Pending
    })
}

/// Each thread has a reference.
fn shared<T: Send + Sync + 'static>(
    value: T,
    operation: impl Fn(&T) + Copy + Send + 'static,
) -> Box<dyn FnMut() -> Work> {
    let value = Arc::new(value);
    Box::new(move || {
        let value = Arc::clone(&value);
        Box::new(move |count| {
            for _ in 0..count {
                operation(&value);
            }
        })
    })
}

/// Each thread has a clone, through which it sends one request after the other.
fn cloned<S>(service: S) -> Box<dyn FnMut() -> Work>
where
    S: Service<u64, Response = u64, Error: std::fmt::Debug> + Clone + Send + 'static,
{
    Box::new(move || driven(service.clone()))
}

fn driven<S>(mut service: S) -> Work
where
    S: Service<u64, Response = u64, Error: std::fmt::Debug> + Send + 'static,
{
    Box::new(move |count| {
        let mut cx = Context::from_waker(Waker::noop());
        for n in 0..count {
            assert!(matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(()))));
            let mut response = pin!(service.call(n));
            loop {
                if let Poll::Ready(response) = black_box(response.as_mut()).poll(&mut cx) {
                    black_box(response.unwrap());
                    break;
                }
            }
        }
    })
}

fn rate_limited(requests: u64) -> Box<dyn FnMut() -> Work> {
    let layer = GlobalRateLimitLayer::new(requests, Duration::from_secs(1));
    Box::new(move || driven(layer.layer(echo_fn())))
}

fn bucket() -> TokenBucket {
    TokenBucket::new(Rate::new(1_000_000, Duration::from_secs(1)), 1 << 40)
}

fn keyed_rates(key: fn(&u64) -> u64) -> Box<dyn FnMut() -> Work> {
    cloned(KeyedLimit::new(
        echo_fn(),
        KeyRates::new(bucket(), 10_000),
        key,
    ))
}

fn keyed_permits(key: fn(&u64) -> u64) -> Box<dyn FnMut() -> Work> {
    cloned(KeyedLimit::new(
        echo_fn(),
        KeyPermits::new(100, 10_000),
        key,
    ))
}

/// Pseudo-random keys, different ones in each thread.
fn any_of_1000(_: &u64) -> u64 {
    thread_local! {
        static STATE: Cell<u64> = const { Cell::new(0) };
    }
    STATE.with(|state| {
        let address = std::ptr::from_ref(state).addr() as u64;
        let next = state.get().wrapping_add(address | 1);
        state.set(next);
        (next.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % 1000
    })
}

/// Each thread has its own idea of the time, which costs nothing.
fn estimate(read: bool) -> Box<dyn FnMut() -> Work> {
    let estimate = Estimate::new(0, Duration::from_secs(10), Duration::from_millis(1));
    let estimate = Arc::new(estimate);
    Box::new(move || {
        let estimate = Arc::clone(&estimate);
        let mut now = 0;
        Box::new(move |count| {
            for _ in 0..count {
                if read {
                    black_box(estimate.cost(now));
                }
                estimate.begin(now);
                now += 100;
                estimate.end(now - 100, Some(Class::Success), now);
            }
        })
    })
}

/// Each thread has a service that was added by the discovery.
fn endpoints<D, S>(mut discover: D) -> Box<dyn FnMut() -> Work>
where
    D: Stream<Item = Result<Change<u64, S>, Infallible>> + Unpin + 'static,
    S: Service<u64, Response = u64, Error: std::fmt::Debug> + Send + 'static,
{
    // Kept: dropping the discovery removes no endpoint, but its timer would not run.
    Box::new(move || {
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(&mut discover).poll_next(&mut cx) {
            Poll::Ready(Some(Ok(Change::Insert(_, service)))) => driven(service),
            _ => unreachable!("there is always one more"),
        }
    })
}

/// The same endpoint again and again: its services share what is known of it.
struct Same;

impl Stream for Same {
    type Item = Result<Change<u64, Echo>, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(Some(Ok(Change::Insert(0, echo_fn()))))
    }
}

/// Another endpoint each time.
struct Each(u64);

impl Stream for Each {
    type Item = Result<Change<u64, Echo>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0 += 1;
        Poll::Ready(Some(Ok(Change::Insert(self.0, echo_fn()))))
    }
}

#[derive(Clone)]
struct Twice;

impl tower::hedge::Policy<u64> for Twice {
    fn clone_request(&self, request: &u64) -> Option<u64> {
        Some(*request)
    }

    fn can_retry(&self, _: &u64) -> bool {
        true
    }
}

fn proxy_metrics() -> metrics::Metrics {
    let routes = vec![("/".to_owned(), "cluster".to_owned())];
    let clusters = vec![("cluster".to_owned(), vec!["127.0.0.1:1".to_owned()])];
    metrics::Metrics::new(routes, clusters, HOUR)
}

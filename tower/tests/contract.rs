//! The contract of every layer above a shared limit: whatever a caller does with its handle, or omits to do, other callers can
//! still get the limit's only permit.
//!
//! Each layer has a row in [`LAYERS`]. A layer that has neither a row nor a reason in [`EXEMPT`] fails
//! [`every_service_has_a_row`].
#![cfg(all(feature = "full", feature = "http"))]

use std::collections::BTreeSet;
use std::future::{Future, Pending, Ready, pending, poll_fn, ready};
use std::path::Path;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fs, io};

use futures::FutureExt;
use futures::future::Either as Answer;
use http::{Request, Response};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, timeout};
use tower::balance::p2c::Balance;
use tower::breaker::admission::ThrottleLayer;
use tower::breaker::keyed::KeyedCircuitBreakerLayer;
use tower::breaker::policy::BreakerPolicy;
use tower::breaker::{CircuitBreaker, CircuitBreakerLayer};
use tower::buffer::Buffer;
use tower::buffer::fail_fast::FailFast;
use tower::cache::coalesce::CoalesceLayer;
use tower::cache::{Cache, Store};
use tower::discover::ServiceList;
use tower::executor::ExecutorLayer;
use tower::fallback::FallbackLayer;
use tower::fault::http::HttpFaultLayer;
use tower::fault::{FaultLayer, Plan};
use tower::filter::{AsyncFilter, Filter};
use tower::health::policy::SlowStart;
use tower::health::{EndpointStates, ErrorIsFailure, Health, HealthExt};
use tower::hedge::HedgeLayer;
use tower::limit::adaptive::{AdaptiveConcurrencyLimitLayer, Gradient};
use tower::limit::keyed::{KeyPermits, KeyedLimit};
use tower::limit::weighted::WeightedConcurrencyLimitLayer;
use tower::limit::{ConcurrencyLimit, GlobalConcurrencyLimitLayer, RateLimit, rate::Rate};
use tower::load::{CompleteOnResponse, Constant, PeakEwma, PendingRequests, Weighted};
use tower::load_shed::LoadShed;
use tower::middleware::{Next, from_fn};
use tower::reconnect::Reconnect;
use tower::retry::backoff::ExponentialBackoffMaker;
use tower::retry::http::HttpRetryLayer;
use tower::retry::{Retry, RetryPolicy};
use tower::spawn_ready::SpawnReady;
use tower::steer::Steer;
use tower::timeout::http::{AcceptDeadlineLayer, BodyTimeoutLayer, ForwardDeadlineLayer};
use tower::timeout::{Deadline, EnforceDeadline, Timeout, TimeoutBy};
use tower::util::{
    AndThen, BoxCloneService, BoxCloneSyncService, BoxService, Either, FutureService, MapErr,
    MapFuture, MapRequest, MapResponse, MapResult, Optional, Then, UnsyncBoxService,
};
use tower::{BoxError, Layer, Service, ServiceExt};

const HOUR: Duration = Duration::from_secs(3600);

/// The innermost service: a handle of the shared limit.
type Limited = ConcurrencyLimit<Leaf>;

/// Never responds to a request with the header `hang`, and to all others immediately.
#[derive(Clone, Debug, Default)]
struct Leaf {
    /// `poll_ready` fails.
    broken: bool,
}

impl<B> Service<Request<B>> for Leaf {
    type Response = Response<String>;
    type Error = BoxError;
    type Future = Answer<
        Ready<Result<Response<String>, BoxError>>,
        Pending<Result<Response<String>, BoxError>>,
    >;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(match self.broken {
            true => Err("broken".into()),
            false => Ok(()),
        })
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match request.headers().contains_key("hang") {
            true => Answer::Right(pending()),
            false => Answer::Left(ready(Ok(Response::new(String::new())))),
        }
    }
}

/// A layer over a handle of the limit.
enum Subject {
    Clone(BoxCloneService<Request<String>, (), BoxError>),
    Single(BoxService<Request<String>, (), BoxError>),
    Local(UnsyncBoxService<Request<String>, (), BoxError>),
}

fn cloned<S, B>(service: S) -> Subject
where
    S: Service<Request<String>, Response = Response<B>, Future: Send> + Clone + Send + 'static,
    S::Error: 'static,
    BoxError: From<S::Error>,
    B: 'static,
{
    Subject::Clone(service.map_result(unit).boxed_clone())
}

fn single<S, B>(service: S) -> Subject
where
    S: Service<Request<String>, Response = Response<B>, Future: Send> + Send + 'static,
    S::Error: 'static,
    BoxError: From<S::Error>,
    B: 'static,
{
    Subject::Single(service.map_result(unit).boxed())
}

fn unit<B, E>(result: Result<Response<B>, E>) -> Result<(), BoxError>
where
    BoxError: From<E>,
{
    result?;
    Ok(())
}

fn run_unless_rejected(
    request: Request<String>,
    next: Next<Limited, Request<String>>,
) -> Answer<Ready<Result<Response<String>, BoxError>>, <Limited as Service<Request<String>>>::Future>
{
    match request.headers().contains_key("rejected") {
        true => ready(Err("rejected".into())).left_future(),
        false => next.run(request).right_future(),
    }
}

impl Subject {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Clone(service) => service.poll_ready(cx),
            Self::Single(service) => service.poll_ready(cx),
            Self::Local(service) => service.poll_ready(cx),
        }
    }

    async fn ready(&mut self) {
        let ready = timeout(HOUR, poll_fn(|cx| self.poll_ready(cx)));
        ready.await.expect("becomes ready").unwrap();
    }

    fn call(
        &mut self,
        request: Request<String>,
    ) -> futures::future::LocalBoxFuture<'static, Result<(), BoxError>> {
        match self {
            Self::Clone(service) => service.call(request).boxed_local(),
            Self::Single(service) => service.call(request).boxed_local(),
            Self::Local(service) => service.call(request),
        }
    }
}

/// What a handle that is ready and is not called holds.
#[derive(Clone, Copy, PartialEq)]
enum Idle {
    /// The permit, until it is called or dropped.
    Holds,
    /// Nothing of the service below.
    Free,
}
use Idle::{Free, Holds};

struct Row {
    layer: &'static str,
    idle: Idle,
    /// A request that the layer rejects in `call`.
    rejected: Option<fn() -> Request<String>>,
    make: fn(Limited) -> Subject,
}

const fn row(layer: &'static str, idle: Idle, make: fn(Limited) -> Subject) -> Row {
    Row {
        layer,
        idle,
        rejected: None,
        make,
    }
}

const fn rejects(row: Row, rejected: fn() -> Request<String>) -> Row {
    Row {
        rejected: Some(rejected),
        ..row
    }
}

const LAYERS: &[Row] = &[
    row("AndThen", Holds, |inner| {
        cloned(AndThen::new(inner, |response| {
            ready(Ok::<_, BoxError>(response))
        }))
    }),
    row("Then", Holds, |inner| {
        cloned(Then::new(
            inner,
            ready::<Result<Response<String>, BoxError>>,
        ))
    }),
    row("MapErr", Holds, |inner| {
        cloned(MapErr::new(inner, BoxError::from))
    }),
    rejects(
        row("FromFn", Holds, |inner| {
            cloned(from_fn(run_unless_rejected).layer(inner))
        }),
        rejected,
    ),
    row("MapFuture", Holds, |inner| {
        cloned(MapFuture::new(inner, |future| future))
    }),
    row("MapRequest", Holds, |inner| {
        cloned(MapRequest::new(inner, |request: Request<String>| request))
    }),
    row("MapResponse", Holds, |inner| {
        cloned(MapResponse::new(inner, |response: Response<String>| {
            response
        }))
    }),
    row("MapResult", Holds, |inner| {
        cloned(MapResult::new(
            inner,
            |result: Result<Response<String>, BoxError>| result,
        ))
    }),
    row("Either", Holds, |inner| {
        cloned(Either::<_, Limited>::Left(inner))
    }),
    row("Optional", Holds, |inner| {
        cloned(Optional::new::<Request<String>>(Some(inner)))
    }),
    row("BoxService", Holds, |inner| single(inner.boxed())),
    row("BoxCloneService", Holds, |inner| {
        cloned(inner.boxed_clone())
    }),
    row("BoxCloneSyncService", Holds, |inner| {
        cloned(BoxCloneSyncService::new(inner))
    }),
    row("UnsyncBoxService", Holds, |inner| {
        Subject::Local(UnsyncBoxService::new(MapResult::new(inner, unit)))
    }),
    row("Steer", Holds, |inner| {
        cloned(Steer::new([inner], |_: &_, _: &[_]| 0))
    }),
    row("FutureService", Holds, |inner| {
        single(FutureService::new(ready(Ok::<_, BoxError>(inner))))
    }),
    row("SpawnReady", Holds, |inner| single(SpawnReady::new(inner))),
    row("Reconnect", Holds, |inner| {
        let make = tower::service_fn(move |()| ready(Ok::<_, BoxError>(inner.clone())));
        single(Reconnect::with_backoff(
            make,
            (),
            ExponentialBackoffMaker::default(),
        ))
    }),
    rejects(
        row("Filter", Holds, |inner| {
            cloned(Filter::new(inner, |request: Request<String>| match request
                .headers()
                .contains_key("rejected")
            {
                true => Err("rejected"),
                false => Ok(request),
            }))
        }),
        rejected,
    ),
    rejects(
        row("AsyncFilter", Holds, |inner| {
            cloned(AsyncFilter::new(inner, |request: Request<String>| {
                let rejected = request.headers().contains_key("rejected");
                ready(if rejected {
                    Err("rejected")
                } else {
                    Ok(request)
                })
            }))
        }),
        rejected,
    ),
    row("Timeout", Holds, |inner| cloned(Timeout::new(inner, HOUR))),
    row("TimeoutBy", Holds, |inner| {
        cloned(TimeoutBy::new(inner, |_: &Request<String>| Some(HOUR)))
    }),
    rejects(
        row("EnforceDeadline", Holds, |inner| {
            cloned(EnforceDeadline::new(inner, |request: &Request<String>| {
                request.extensions().get().copied()
            }))
        }),
        past_its_deadline,
    ),
    rejects(
        row("AcceptDeadline", Holds, |inner| {
            cloned(AcceptDeadlineLayer::new().layer(inner))
        }),
        past_its_deadline,
    ),
    rejects(
        row("ForwardDeadline", Holds, |inner| {
            cloned(ForwardDeadlineLayer::new().layer(inner))
        }),
        past_its_deadline,
    ),
    row("BodyTimeout", Holds, |inner| {
        cloned(BodyTimeoutLayer::new().layer(inner))
    }),
    row("Retry", Holds, |inner| {
        cloned(Retry::new(RetryPolicy::builder().build(), inner))
    }),
    row("HttpRetry", Holds, |inner| {
        cloned(HttpRetryLayer::new(RetryPolicy::http().build()).layer(inner))
    }),
    row("Hedge", Holds, |inner| {
        cloned(
            HedgeLayer::builder()
                .when(|_: &Request<String>| true)
                .build()
                .unwrap()
                .layer(inner),
        )
    }),
    row("CircuitBreaker", Holds, |inner| {
        cloned(CircuitBreaker::new(inner, BreakerPolicy::standard()))
    }),
    row("CircuitBreaker", Holds, |inner| {
        let layer = CircuitBreakerLayer::new(BreakerPolicy::standard());
        cloned(layer.wait_while_open().layer(inner))
    }),
    rejects(
        row("KeyedCircuitBreaker", Holds, |inner| {
            let rejected = |request: &Request<String>| request.headers().contains_key("rejected");
            let layer = KeyedCircuitBreakerLayer::new(BreakerPolicy::standard(), 9, rejected);
            layer.breakers().force_open(&true);
            cloned(layer.layer(inner))
        }),
        || {
            Request::builder()
                .header("rejected", "")
                .body(String::new())
                .unwrap()
        },
    ),
    row("Admission", Holds, |inner| {
        cloned(ThrottleLayer::default().layer(inner))
    }),
    row("Fallback", Holds, |inner| {
        let value = Response::new(String::new());
        cloned(
            FallbackLayer::value(value)
                .when(|_: &BoxError| false)
                .layer(inner),
        )
    }),
    row("InjectFault", Holds, |inner| {
        cloned(FaultLayer::new(Plan::new()).layer(inner))
    }),
    row("InjectHttpFault", Holds, |inner| {
        cloned(HttpFaultLayer::new(Plan::new()).layer(inner))
    }),
    row("Executor", Holds, |inner| {
        let layer = ExecutorLayer::new(tokio::runtime::Handle::current());
        cloned(layer.max_tasks(9, 9).unwrap().layer(inner))
    }),
    row("Cache", Free, |inner| {
        let inner = MapResponse::new(inner, |_: Response<String>| ());
        let cache = Cache::new(inner, Store::new(9, HOUR), |_: &Request<_>| None::<()>);
        cloned(MapResponse::new(cache, |()| Response::new(())))
    }),
    row("Coalesce", Free, |inner| {
        let inner = MapResponse::new(inner, |_: Response<String>| ());
        let layer = CoalesceLayer::new(9, |_: &Request<_>| Some(()));
        cloned(MapResponse::new(layer.layer(inner), |()| Response::new(())))
    }),
    row("ConcurrencyLimit", Holds, |inner| {
        cloned(ConcurrencyLimit::new(inner, 9))
    }),
    row("AdaptiveConcurrencyLimit", Holds, |inner| {
        cloned(AdaptiveConcurrencyLimitLayer::new(Gradient::default()).layer(inner))
    }),
    row("RateLimit", Holds, |inner| {
        cloned(RateLimit::new(inner, Rate::new(1_000_000, HOUR)))
    }),
    row("Refuse", Holds, |inner| {
        cloned(ConcurrencyLimit::new(inner, 9).max_wait(HOUR))
    }),
    rejects(
        row("KeyedLimit", Holds, |inner| {
            // The only permit of the key of rejected requests is taken for good.
            let permits = KeyPermits::new(1, 99);
            std::mem::forget(permits.take(true));
            cloned(KeyedLimit::new(inner, permits, |request: &Request<_>| {
                request.headers().contains_key("rejected")
            }))
        }),
        rejected,
    ),
    row("HoldUntilBodyEnd", Holds, |inner| {
        cloned(ConcurrencyLimit::new(inner, 9).hold_until_body_end())
    }),
    rejects(
        row("WeightedConcurrencyLimit", Holds, |inner| {
            let weight = |request: &Request<_>| match request.headers().contains_key("rejected") {
                true => 9,
                false => 0,
            };
            let layer = WeightedConcurrencyLimitLayer::new(9, weight).shed();
            // A request that never ends takes all permits.
            let mut other = layer.layer(tower::service_fn(|_: Request<String>| {
                pending::<Result<Response<String>, BoxError>>()
            }));
            std::mem::forget(other.call(rejected()));
            cloned(layer.layer(inner))
        }),
        rejected,
    ),
    row("LoadShed", Holds, |inner| cloned(LoadShed::new(inner))),
    row("Buffer", Free, |inner| cloned(Buffer::new(inner, 9))),
    row("FailFast", Holds, |inner| {
        cloned(FailFast::new(inner, HOUR))
    }),
    row("Balance", Holds, |inner| {
        single(Balance::new(endpoint(inner)))
    }),
    row("Constant", Holds, |inner| single(Constant::new(inner, 1))),
    row("Weighted", Holds, |inner| cloned(Weighted::new(inner, 1))),
    row("PendingRequests", Holds, |inner| {
        single(PendingRequests::new(inner, CompleteOnResponse::default()))
    }),
    row("PeakEwma", Holds, |inner| {
        single(PeakEwma::new(
            inner,
            HOUR,
            1e9,
            CompleteOnResponse::default(),
        ))
    }),
    row("Guarded", Holds, |inner| {
        let endpoints = endpoint(inner)
            .eject_outliers(Default::default(), ErrorIsFailure)
            .unwrap();
        single(Balance::new(
            endpoints
                .accrue_failures(Default::default(), ErrorIsFailure)
                .unwrap(),
        ))
    }),
    row("Warming", Holds, |inner| {
        let endpoints = endpoint(inner).slow_start(SlowStart::new(HOUR));
        single(Balance::new(endpoints))
    }),
    row("TimeoutEndpoint", Holds, |inner| {
        single(Balance::new(endpoint(inner).timeout_endpoints(HOUR)))
    }),
    row("Observed", Holds, |inner| {
        let endpoints = endpoint(inner).observe(EndpointStates::new(Health::new()));
        single(Balance::new(endpoints))
    }),
];

/// Services that are not layers above a service that may reserve something, with the reason.
const EXEMPT: &[(&str, &str)] = &[
    ("ServiceFn", "a function, always ready"),
    ("Shared", "clones a service, always ready"),
    ("IntoService", "forwards the calls of a maker"),
    ("AsService", "forwards the calls of a maker"),
    ("MakeBalance", "creates balancers"),
    ("PeekTrailers", "within HttpRetry"),
    ("TcpCheck", "creates connections"),
    ("HttpCheck", "creates connections"),
    ("GrpcCheck", "creates connections"),
    ("Mock", "for tests"),
    ("Spawn", "for tests"),
    ("S", "references and boxes of services"),
];

fn endpoint(inner: Limited) -> ServiceList<Vec<Constant<Limited, u32>>> {
    ServiceList::new::<Request<String>>(vec![Constant::new(inner, 1)])
}

fn past_its_deadline() -> Request<String> {
    let mut request = request();
    request
        .extensions_mut()
        .insert(Deadline::at(Instant::now()));
    request
}

fn request() -> Request<String> {
    Request::new(String::new())
}

fn rejected() -> Request<String> {
    Request::builder()
        .header("rejected", "")
        .body(String::new())
        .unwrap()
}

fn hanging() -> Request<String> {
    Request::builder()
        .header("hang", "")
        .body(String::new())
        .unwrap()
}

/// A limit of one request in flight.
struct World(GlobalConcurrencyLimitLayer);

impl World {
    fn handle(&self) -> Limited {
        self.0.layer(Leaf::default())
    }

    /// Takes the permit until the returned future is dropped.
    async fn hold(&self) -> impl Future + use<> {
        let mut handle = self.handle();
        Service::<Request<String>>::poll_ready(
            &mut handle,
            &mut Context::from_waker(std::task::Waker::noop()),
        )
        .is_ready()
        .then(|| handle.call(hanging()))
        .expect("the permit is free")
    }

    /// Spawns a task that waits for the permit.
    async fn waiter(&self) -> JoinHandle<Result<Response<String>, BoxError>> {
        let waiter = tokio::spawn(self.handle().oneshot(request()));
        settle().await;
        waiter
    }

    /// Returns whether a new request receives a response.
    async fn lets_through(&self) -> bool {
        settle().await;
        timeout(HOUR, self.handle().oneshot(request()))
            .await
            .is_ok()
    }
}

/// Polls all woken tasks until none makes progress.
async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
}

/// Runs `scenario` with each layer.
async fn each(scenario: impl AsyncFn(&Row, &World, Subject)) {
    for row in LAYERS {
        let world = World(GlobalConcurrencyLimitLayer::new(1));
        let subject = (row.make)(world.handle());
        settle().await;
        println!("{}", row.layer);
        scenario(row, &world, subject).await;
    }
}

#[tokio::test(start_paused = true)]
async fn ready_then_dropped() {
    each(async |_, world, mut subject| {
        subject.ready().await;
        drop(subject);
        assert!(world.lets_through().await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn ready_then_idle() {
    each(async |row, world, mut subject| {
        assert!(world.lets_through().await, "before it is polled");
        subject.ready().await;
        assert_eq!(world.lets_through().await, row.idle == Free);
        // It releases what it holds when it is dropped.
        let waiter = world.waiter().await;
        drop(subject);
        timeout(HOUR, waiter).await.unwrap().unwrap().unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn ready_then_cloned() {
    each(async |_, world, mut subject| {
        subject.ready().await;
        if let Subject::Clone(service) = subject {
            let mut clone = Subject::Clone(service.clone());
            drop(service);
            assert!(world.lets_through().await);
            clone.ready().await;
            clone.call(request()).await.unwrap();
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn rejected_then_idle() {
    each(async |row, world, mut subject| {
        if let Some(rejected) = row.rejected {
            for _ in 0..2 {
                subject.ready().await;
                let waiter = world.waiter().await;
                subject.call(rejected()).await.unwrap_err();
                timeout(HOUR, waiter).await.unwrap().unwrap().unwrap();
                assert!(world.lets_through().await);
            }
            subject.ready().await;
            subject.call(request()).await.unwrap();
        }
    })
    .await;
}

/// Rejected because the limit is reached.
#[tokio::test(start_paused = true)]
async fn shed_then_idle() {
    for below in ["nothing", "a buffer", "the limit refuses"] {
        let world = World(GlobalConcurrencyLimitLayer::new(1));
        let held = world.hold().await;
        let mut kept: Vec<_> = (0..3)
            .map(|_| match below {
                "nothing" => cloned(LoadShed::new(world.handle())),
                "the limit refuses" => cloned(world.handle().shed()),
                _ => cloned(LoadShed::new(Buffer::new(LoadShed::new(world.handle()), 1))),
            })
            .collect();
        for subject in &mut kept {
            subject.ready().await;
            subject.call(request()).await.unwrap_err();
        }
        let waiter = world.waiter().await;
        drop(held);
        timeout(HOUR, waiter).await.unwrap().unwrap().unwrap();
        assert!(world.lets_through().await);
        for subject in &mut kept {
            subject.ready().await;
            subject.call(request()).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn called_then_dropped() {
    each(async |_, world, mut subject| {
        subject.ready().await;
        let mut response = subject.call(hanging());
        assert!(futures::poll!(&mut response).is_pending());
        assert!(!world.lets_through().await, "the request is in flight");
        drop(response);
        assert!(world.lets_through().await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn answered_then_idle() {
    each(async |_, world, mut subject| {
        subject.ready().await;
        let mut response = subject.call(request());
        (&mut response).await.unwrap();
        assert!(
            world.lets_through().await,
            "before the future and the handle are dropped"
        );
        drop(response);
        assert!(world.lets_through().await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn woken_then_not_polled() {
    each(async |_, world, mut first| {
        let held = world.hold().await;
        // Waiters that are not polled again: one before, and others after the waiter that is.
        let mut silent = world.handle();
        let polled =
            poll_fn(|cx| Poll::Ready(Service::<Request<String>>::poll_ready(&mut silent, cx)));
        assert!(polled.await.is_pending());
        let _polled = poll_fn(|cx| Poll::Ready(first.poll_ready(cx))).await;
        let waiter = world.waiter().await;
        let _polled = poll_fn(|cx| Poll::Ready(first.poll_ready(cx))).await;
        drop(held);
        timeout(HOUR, waiter).await.unwrap().unwrap().unwrap();
        assert!(world.lets_through().await);
        first.ready().await;
        first.call(request()).await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn error_then_polled() {
    for row in LAYERS {
        println!("{}", row.layer);
        let world = World(GlobalConcurrencyLimitLayer::new(1));
        let mut subject = (row.make)(world.0.layer(Leaf { broken: true }));
        for _ in 0..3 {
            let polled = timeout(HOUR, poll_fn(|cx| subject.poll_ready(cx))).await;
            if let Ok(Ok(())) = polled {
                subject.call(request()).await.unwrap_err();
            }
            assert!(world.lets_through().await);
        }
    }
}

#[test]
fn every_service_has_a_row() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut services = BTreeSet::new();
    for folder in fs::read_dir(root).unwrap() {
        let folder = folder.unwrap();
        if folder.file_name().to_string_lossy().starts_with("tower-") {
            find_services(&folder.path().join("src"), &mut services).unwrap();
        }
    }
    assert!(services.len() > 30, "{services:?}");
    let rows: BTreeSet<_> = LAYERS.iter().map(|row| row.layer.to_owned()).collect();
    let exempt = EXEMPT.iter().map(|(service, _)| (*service).to_owned());
    let known: BTreeSet<_> = rows.union(&exempt.collect()).cloned().collect();
    let unknown: Vec<_> = services.difference(&known).collect();
    assert!(unknown.is_empty(), "no row in LAYERS for {unknown:?}");
    let removed: Vec<_> = known.difference(&services).collect();
    assert!(removed.is_empty(), "no such services: {removed:?}");
}

/// Collects the names after `impl ... Service<...> for`.
fn find_services(folder: &Path, services: &mut BTreeSet<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_services(&path, services)?;
            continue;
        }
        if path.ends_with("loom_tests.rs") {
            continue;
        }
        for line in fs::read_to_string(&path)?.lines() {
            let Some((implements, name)) = line.split_once(" for ") else {
                continue;
            };
            let is_service = implements.starts_with("impl") && implements.contains(" Service<");
            let name = name
                .trim_start_matches("&'a mut ")
                .trim_start_matches("Box<");
            if is_service {
                let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
                services.insert(name[..end.unwrap_or(name.len())].to_owned());
            }
        }
    }
    Ok(())
}

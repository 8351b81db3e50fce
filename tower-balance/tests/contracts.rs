//! What a balancer guarantees even if its endpoints, pickers or callers misbehave.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use tokio_test::assert_ready_ok;
use tower_balance::Balance;
use tower_balance::picker::{
    Endpoints, Hints, P2c, PickContext, Picker, PrequalPicker, ProbeAnswer, RingHash, RoundRobin,
    WeightedRoundRobin,
};
use tower_balance::policy::hash::xxh64;
use tower_balance::policy::prequal::PrequalConfig;
use tower_balance::ready_cache::ReadyCache;
use tower_balance::subset::Subset;
use tower_discover::{Change, ServiceList};
use tower_load::{Constant, Load, Weighted};
use tower_service::Service;
use tower_test::mock::Spawn;
use tower_util::{ServiceExt, Tried, service_fn};

/// An endpoint that is ready until it fails or stalls. Calling it after that is an error.
#[derive(Clone, Debug, Default)]
struct Unreliable {
    name: usize,
    failed: Arc<AtomicBool>,
    stalled: Arc<AtomicBool>,
}

impl<R> Service<R> for Unreliable {
    type Response = usize;
    type Error = &'static str;
    type Future = Ready<Result<usize, &'static str>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        match (self.failed.load(Relaxed), self.stalled.load(Relaxed)) {
            (true, _) => Poll::Ready(Err("failed")),
            (_, true) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, _: R) -> Self::Future {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        ready(match Service::<R>::poll_ready(self, &mut cx) {
            Poll::Ready(Ok(())) => Ok(self.name),
            _ => Err("called though not ready"),
        })
    }
}

impl Load for Unreliable {
    type Metric = u32;

    fn load(&self) -> u32 {
        0
    }
}

fn unreliable(count: usize) -> Vec<Unreliable> {
    let numbered = |name| Unreliable {
        name,
        ..Unreliable::default()
    };
    (0..count).map(numbered).collect()
}

fn ring() -> RingHash<fn(&u64) -> Option<u64>> {
    RingHash::by(|key: &u64| Some(*key))
}

type List = ServiceList<Vec<Unreliable>>;

/// All of 40 requests succeed, although one of two endpoints fails while idle, like a connection that is closed by its
/// server.
async fn loses_nothing<P>(balancer: impl Fn(List) -> Balance<List, u64, P>)
where
    P: Picker<ReadyCache<usize, Unreliable, u64>, u64>,
{
    for stalls in [false, true] {
        let services = unreliable(2);
        let lost = services[0].clone();
        let mut balance = balancer(ServiceList::new::<u64>(services));
        for _ in 0..4 {
            balance.ready().await.unwrap().call(3).await.unwrap();
        }
        match stalls {
            true => lost.stalled.store(true, Relaxed),
            false => lost.failed.store(true, Relaxed),
        }
        for key in 0..40_u64 {
            let key = xxh64(&key.to_le_bytes(), 0);
            assert_eq!(balance.ready().await.unwrap().call(key).await.unwrap(), 1);
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_fails_while_idle_receives_no_requests() {
    loses_nothing(|list| Balance::with_picker(list, P2c::new())).await;
    loses_nothing(|list| Balance::with_picker(list, ring())).await;
    loses_nothing(|list| Balance::new(list).avoid_tried(|_| None)).await;
}

#[tokio::test]
#[should_panic(expected = "poll_ready must be called first")]
async fn panics_if_called_before_it_is_ready_with_a_picker_by_request() {
    let mut balance = Balance::with_picker(ServiceList::new::<u64>(unreliable(1)), ring());
    let _answer = balance.ready().await.unwrap().call(1);
    let _fault = balance.call(1);
}

/// A user's picker that returns `None` or an index that is out of range.
struct Wrong<const BY_REQUEST: bool>(Option<usize>);

impl<E: Endpoints, Req, const BY_REQUEST: bool> Picker<E, Req> for Wrong<BY_REQUEST> {
    fn hints(&self) -> Hints {
        Hints {
            by_request: BY_REQUEST,
            ..Hints::NOTHING
        }
    }

    fn pick<C: PickContext>(&mut self, _: &E, _: Option<&Req>, _: &mut C) -> Option<usize> {
        self.0
    }
}

#[tokio::test]
async fn an_invalid_pick_neither_spins_nor_panics() {
    for index in [None, Some(2), Some(usize::MAX)] {
        let list = || ServiceList::new::<u64>(unreliable(2));
        let mut balance = Spawn::new(Balance::with_picker(list(), Wrong::<false>(index)));
        assert!(
            balance.poll_ready::<u64>().is_pending(),
            "no endpoint is picked"
        );
        let mut balance = Balance::with_picker(list(), Wrong::<true>(index));
        let answer = balance.ready().await.unwrap().call(1).await;
        assert!(answer.is_ok(), "a ready endpoint responds");
    }
}

#[tokio::test]
async fn round_robin_continues_if_polled_twice() {
    let list = ServiceList::new::<u64>(unreliable(2));
    let mut balance = Spawn::new(Balance::with_picker(list, RoundRobin::new()));
    let mut answered = [0; 2];
    for _ in 0..100 {
        assert_ready_ok!(balance.poll_ready::<u64>());
        assert_ready_ok!(balance.poll_ready::<u64>());
        answered[balance.call(1).await.unwrap()] += 1;
    }
    assert!(answered.iter().all(|count| *count > 0), "{answered:?}");
}

#[tokio::test]
async fn a_retry_is_not_sent_to_an_endpoint_of_weight_zero() {
    let endpoints = [("live", 1), ("drained", 0)].map(|(name, weight)| {
        let service = service_fn(move |_: Tried| ready(Ok::<_, Infallible>(name)));
        Weighted::new(Constant::new(service, 0_u32), weight)
    });
    let mut balance = Balance::builder(ServiceList::new::<Tried>(endpoints))
        .pick(WeightedRoundRobin::new())
        .build()
        .avoid_tried(|request: &Tried| Some(request));
    let request = Tried::new();
    for _ in 0..2 {
        let answer = balance.ready().await.unwrap().call(request.clone()).await;
        assert_eq!(answer.unwrap(), "live");
    }
}

/// An endpoint that was picked, but was not ready, does not count as tried.
#[tokio::test]
async fn only_endpoints_that_the_request_was_sent_to_count_as_tried() {
    for _ in 0..50 {
        let services = unreliable(2);
        let stalled = services[0].stalled.clone();
        let list = ServiceList::new::<Tried>(services);
        let mut balance = Balance::new(list).avoid_tried(|request: &Tried| Some(request));
        let request = Tried::new();
        balance.ready().await.unwrap();
        stalled.store(true, Relaxed);
        assert_eq!(balance.call(request.clone()).await.unwrap(), 1);
        stalled.store(false, Relaxed);
        tokio::task::yield_now().await;
        balance.ready().await.unwrap();
        assert_eq!(
            balance.ready().await.unwrap().call(request).await.unwrap(),
            0
        );
    }
}

/// Even if the service that sends the probes is never ready.
#[tokio::test(start_paused = true)]
async fn probing_ends_when_the_picker_is_dropped() {
    #[derive(Clone)]
    struct Never;

    impl Service<Arc<str>> for Never {
        type Response = ProbeAnswer;
        type Error = Infallible;
        type Future = Ready<Result<ProbeAnswer, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Pending
        }

        fn call(&mut self, _: Arc<str>) -> Self::Future {
            panic!("it is not ready");
        }
    }

    let (picker, probes) = PrequalPicker::new(PrequalConfig::default()).unwrap();
    let task = tokio::spawn(probes.run(Never, Duration::from_millis(3)));
    tokio::task::yield_now().await;
    drop(picker);
    let ended = tokio::time::timeout(Duration::from_secs(100), task).await;
    ended.expect("it has ended").unwrap();
}

/// The first clones fail too, and are replaced.
#[tokio::test(start_paused = true)]
async fn a_probe_service_that_fails_to_become_ready_is_replaced_by_a_clone() {
    struct Broken {
        failed: bool,
        failures: Arc<AtomicUsize>,
    }

    impl Clone for Broken {
        fn clone(&self) -> Self {
            Self {
                failed: false,
                failures: Arc::clone(&self.failures),
            }
        }
    }

    impl Service<Arc<str>> for Broken {
        type Response = ProbeAnswer;
        type Error = &'static str;
        type Future = Ready<Result<ProbeAnswer, &'static str>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
            assert!(!self.failed, "polled after its readiness failed");
            self.failed = self.failures.fetch_add(1, Relaxed) < 3;
            Poll::Ready(if self.failed { Err("broken") } else { Ok(()) })
        }

        fn call(&mut self, _: Arc<str>) -> Self::Future {
            assert!(!self.failed, "called after its readiness failed");
            let latency = Duration::from_millis(1);
            ready(Ok(ProbeAnswer {
                in_flight: 0,
                latency,
                failing: 0.0,
            }))
        }
    }

    let (picker, probes) = PrequalPicker::new(PrequalConfig::default()).unwrap();
    let failures = Arc::new(AtomicUsize::new(0));
    let probe = Broken {
        failed: false,
        failures: Arc::clone(&failures),
    };
    let task = tokio::spawn(probes.run(probe, Duration::from_millis(3)));
    let endpoints = (0..3).map(|n| {
        let echo = service_fn(move |()| ready(Ok::<_, Infallible>(n)));
        Constant::new(echo, 0_u32)
    });
    let list = ServiceList::new::<()>(endpoints.collect::<Vec<_>>());
    let mut balance = Balance::builder(list).pick(picker).build();
    for _ in 0..20 {
        balance.ready().await.unwrap().call(()).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(failures.load(Relaxed) > 3);
    drop(balance);
    task.await.expect("it did not panic");
}

#[test]
fn changes_before_an_error_of_discovery_are_applied() {
    type Found = Result<Change<&'static str, u32>, &'static str>;
    let found = stream::iter([Found::Ok(Change::Insert("a", 1)), Err("once")]);
    let mut subset = Subset::rendezvous(found.chain(stream::pending()), 5, 1);
    let mut task = tokio_test::task::spawn(());
    let mut inserted = false;
    for _ in 0..4 {
        let next = task.enter(|cx, _| subset.poll_next_unpin(cx));
        inserted |= matches!(next, Poll::Ready(Some(Ok(Change::Insert(..)))));
    }
    assert!(inserted);
}

/// The other target replaces the removed one, although an error follows the removal.
#[test]
fn a_removal_before_an_error_of_discovery_is_applied() {
    type Found = Result<Change<&'static str, u32>, &'static str>;
    let target = |key| Found::Ok(Change::Insert(key, 1));
    let first = |found: Vec<Found>| {
        let mut subset = Subset::rendezvous(stream::iter(found).chain(stream::pending()), 1, 1);
        let mut task = tokio_test::task::spawn(());
        let mut inserted = Vec::new();
        for _ in 0..8 {
            if let Poll::Ready(Some(Ok(Change::Insert(key, _)))) =
                task.enter(|cx, _| subset.poll_next_unpin(cx))
            {
                inserted.push(key);
            }
        }
        inserted
    };
    let chosen = first(vec![target("a"), target("b")])[0];
    let other = if chosen == "a" { "b" } else { "a" };
    // Both targets were discovered, and one was chosen, when that one is removed.
    let (changes, found) = futures::channel::mpsc::unbounded::<Found>();
    let mut subset = Subset::rendezvous(found, 1, 1);
    let mut task = tokio_test::task::spawn(());
    let mut next = || task.enter(|cx, _| subset.poll_next_unpin(cx));
    for key in ["a", "b"] {
        changes.unbounded_send(target(key)).unwrap();
    }
    assert!(matches!(next(), Poll::Ready(Some(Ok(Change::Insert(key, _)))) if key == chosen));
    changes.unbounded_send(Ok(Change::Remove(chosen))).unwrap();
    changes.unbounded_send(Err("once")).unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        match next() {
            Poll::Ready(Some(Ok(Change::Insert(key, _)))) => seen.push(key),
            Poll::Ready(None) => panic!("the stream does not end"),
            _ => {}
        }
    }
    assert_eq!(seen, [other]);
}

//! One test per bug of tower 0.5.3, named after it. Each fails there, and passes here: `compat/faults/run` shows both.
//!
//! The numbers are those of the table in `compat/README.md`.

use std::collections::HashSet;
use std::convert::Infallible;
use std::future::{Future, Ready, pending, poll_fn, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::sync::Semaphore;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower::balance::p2c::Balance;
use tower::buffer::Buffer;
use tower::discover::{Change, ServiceList};
use tower::filter::AsyncFilter;
use tower::hedge::{self, Hedge};
use tower::limit::{ConcurrencyLimit, GlobalConcurrencyLimitLayer, RateLimit, rate::Rate};
use tower::load::{CompleteOnResponse, Constant, Load, PeakEwma};
use tower::load_shed::LoadShed;
use tower::ready_cache::ReadyCache;
use tower::reconnect::Reconnect;
use tower::retry::backoff::{Backoff, ExponentialBackoffMaker, MakeBackoff};
use tower::retry::budget::{Budget, TpsBudget};
use tower::retry::{Policy, RetryLayer};
use tower::spawn_ready::SpawnReady;
use tower::steer::Steer;
use tower::timeout::Timeout;
use tower::util::rng::HasherRng;
use tower::util::{CallAll, Optional, service_fn};
use tower::{BoxError, Service, ServiceExt};
use tower_test::mock::{self, Handle, Mock};

type Inner = Mock<u32, u32>;

const SECOND: Duration = Duration::from_secs(1);

fn withdrawals(budget: &TpsBudget) -> usize {
    std::iter::repeat_with(|| budget.withdraw())
        .take_while(|&allowed| allowed)
        .count()
}

#[test]
fn c1_a_clone_of_steer_inherits_readiness() {
    let (inner, _handle) = mock::pair::<u32, u32>();
    let mut service = mock::Spawn::new(Steer::new([inner], |_: &u32, _: &[Inner]| 0));
    assert_ready_ok!(service.poll_ready());
    let mut clone = service.clone();
    assert_ready_ok!(clone.poll_ready());
    drop(clone.call(1));
}

#[test]
fn c2_a_rejected_handle_keeps_a_permit() {
    let (mut a, _handle) =
        mock::spawn_with(|inner: Inner| LoadShed::new(ConcurrencyLimit::new(inner, 1)));
    let mut b = a.clone();
    assert_ready_ok!(a.poll_ready());
    let in_flight = a.call(1);
    assert_ready_ok!(b.poll_ready());
    assert_ready_err!(task::spawn(b.call(2)).poll());
    drop(in_flight);
    assert_ready_ok!(a.poll_ready());
    assert_pending!(task::spawn(a.call(3)).poll(), "there is capacity");
}

#[tokio::test]
async fn c3_a_busy_task_is_told_that_there_is_no_capacity() {
    let buffer = Buffer::new(service_fn(|n: u32| ready(Ok::<_, Infallible>(n))), 1024);
    let mut service = LoadShed::new(buffer);
    for n in 0..1000 {
        poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
        let mut response = pin!(service.call(n));
        let refused =
            poll_fn(|cx| Poll::Ready(matches!(response.as_mut().poll(cx), Poll::Ready(Err(_)))))
                .await;
        assert!(!refused, "request {n} of at most 1024");
    }
}

#[tokio::test(start_paused = true)]
async fn c4_an_idle_handle_blocks_the_others() {
    let (inner, mut handle) = mock::pair::<u32, u32>();
    let mut idle = Buffer::new(inner, 1);
    let mut busy = idle.clone();
    poll_fn(|cx| idle.poll_ready(cx)).await.unwrap();
    let ready = tokio::time::timeout(SECOND, poll_fn(|cx| busy.poll_ready(cx))).await;
    assert!(ready.is_ok(), "nothing is queued, and the service is ready");
    let response = busy.call(1);
    handle.next_request().await.unwrap().1.send_response(2);
    assert_eq!(response.await.unwrap(), 2);
}

#[test]
fn c5_a_cancelled_request_keeps_its_slot_and_its_body() {
    let (inner, mut handle) = mock::pair::<Arc<str>, u32>();
    handle.allow(0);
    let (buffer, worker) = Buffer::pair(inner, 2);
    let (mut service, mut worker) = (mock::Spawn::new(buffer), task::spawn(worker));
    let body: Arc<str> = "body".into();
    assert_ready_ok!(service.poll_ready());
    let first = service.call("first".into());
    assert_pending!(worker.poll());
    assert_ready_ok!(service.poll_ready());
    drop(service.call(body.clone()));
    assert_eq!(Arc::strong_count(&body), 1);
    drop(first);
}

#[test]
fn c6_a_failed_service_is_not_dropped_while_a_clone_holds_a_slot() {
    let (inner, mut handle) = mock::pair::<u32, u32>();
    handle.allow(0);
    let (buffer, worker) = Buffer::pair(inner, 2);
    let (mut service, mut worker) = (mock::Spawn::new(buffer), task::spawn(worker));
    let mut holder = service.clone();
    assert_ready_ok!(holder.poll_ready());
    assert_ready_ok!(service.poll_ready());
    let _response = service.call(1);
    assert_pending!(worker.poll());
    handle.send_error("broken");
    let _ = worker.poll();
    assert!(
        assert_ready!(handle.poll_request()).is_none(),
        "the service is gone"
    );
}

#[tokio::test]
async fn c7_a_panic_has_no_cause() {
    let mut service = Buffer::new(
        service_fn(|_: u32| -> Ready<Result<u32, Infallible>> { panic!("out of paper") }),
        4,
    );
    poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
    let error = service.call(1).await.unwrap_err();
    let mut texts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        texts.push(cause.to_string());
        source = cause.source();
    }
    assert!(
        texts.iter().any(|text| text.contains("out of paper")),
        "{texts:?}"
    );
}

/// A discovery that yields the changes of a channel.
struct Changes(tokio::sync::mpsc::Receiver<Change<u32, Constant<Inner, u32>>>);

impl futures::Stream for Changes {
    type Item = Result<Change<u32, Constant<Inner, u32>>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|change| change.map(Ok))
    }
}

fn endpoint(load: u32, allowed: u64) -> (Constant<Inner, u32>, Handle<u32, u32>) {
    let (service, mut handle) = mock::pair();
    handle.allow(allowed);
    (Constant::new(service, load), handle)
}

#[tokio::test(start_paused = true)]
async fn c8_discovery_is_not_polled_without_requests() {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let _service = Buffer::new(Balance::new(Changes(receiver)), 1);
    for key in 0..3 {
        let sent =
            tokio::time::timeout(SECOND, sender.send(Change::Insert(key, endpoint(1, 1).0))).await;
        assert!(sent.is_ok(), "change {key} is not taken up");
    }
}

/// Like a connecting service: ready only after it was polled, woken and polled again.
struct Connecting {
    polls: Arc<AtomicUsize>,
    waker: Arc<std::sync::Mutex<Option<std::task::Waker>>>,
}

impl Service<u32> for Connecting {
    type Response = u32;
    type Error = Infallible;
    type Future = Ready<Result<u32, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        *self.waker.lock().unwrap() = Some(cx.waker().clone());
        match self.polls.fetch_add(1, Ordering::Relaxed) {
            0 => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, n: u32) -> Self::Future {
        ready(Ok(n))
    }
}

#[tokio::test(start_paused = true)]
async fn c9_an_endpoint_does_not_become_ready_without_requests() {
    let (polls, waker) = <(Arc<AtomicUsize>, Arc<std::sync::Mutex<Option<_>>>)>::default();
    let endpoint = Connecting {
        polls: polls.clone(),
        waker: waker.clone(),
    };
    let endpoints = ServiceList::new::<u32>([Constant::new(endpoint, 1)]);
    let _service = Buffer::new(Balance::new(endpoints), 1);
    tokio::time::sleep(SECOND).await;
    let connecting = waker.lock().unwrap().take();
    connecting.expect("was polled").wake();
    tokio::time::sleep(SECOND).await;
    assert!(polls.load(Ordering::Relaxed) > 1);
}

#[test]
fn c10_a_balancer_without_endpoints_is_never_woken() {
    let none = ServiceList::new::<u32>(Vec::<Constant<Inner, u32>>::new());
    let mut balance = mock::Spawn::new(Balance::new(none));
    assert_ready_err!(balance.poll_ready());
}

/// Panics if it is polled again after its end.
struct Once(Option<Change<u32, Constant<Inner, u32>>>, bool);

impl futures::Stream for Once {
    type Item = Result<Change<u32, Constant<Inner, u32>>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        assert!(!self.1, "polled after its end");
        let next = self.0.take();
        self.1 = next.is_none();
        Poll::Ready(next.map(Ok))
    }
}

#[test]
fn c11_discovery_is_polled_after_its_end() {
    let (inner, _handle) = endpoint(1, 9);
    let mut balance = mock::Spawn::new(Balance::new(Once(Some(Change::Insert(1, inner)), false)));
    assert_ready_ok!(balance.poll_ready());
    assert_ready_ok!(balance.poll_ready());
}

#[tokio::test]
async fn c12_tower_856_a_pick_outlives_its_endpoint() {
    // The pick is random: repeated often enough for the bug to show.
    for _ in 0..64 {
        let (sender, receiver) = tokio::sync::mpsc::channel(8);
        let mut balance = mock::Spawn::new(Balance::new(Changes(receiver)));
        let mut handles = Vec::new();
        for key in 0..3 {
            let (inner, handle) = endpoint(key, 1);
            sender.send(Change::Insert(key, inner)).await.unwrap();
            handles.push(handle);
        }
        // The last endpoint is never the less loaded one.
        assert_ready_ok!(balance.poll_ready());
        for key in 0..2 {
            sender.send(Change::Remove(key)).await.unwrap();
        }
        let (inner, mut light) = endpoint(0, 1);
        sender.send(Change::Insert(3, inner)).await.unwrap();
        assert_ready_ok!(balance.poll_ready());
        drop(balance.call(7));
        assert_eq!(
            assert_ready!(light.poll_request()).unwrap().0,
            7,
            "the new one is the less loaded of two"
        );
        // With a fresh cooperative budget, each round receives all changes in one poll.
        tokio::task::yield_now().await;
    }
}

#[test]
fn c13_an_endpoint_is_removed_before_its_replacement_is_ready() {
    let mut cache = task::spawn(ReadyCache::<&str, Inner, u32>::default());
    let (old, _old_handle) = mock::pair();
    cache.push("a", old);
    assert_ready_ok!(
        cache
            .enter(|cx, mut cache| cache.poll_pending(cx))
            .map_err(|e| e.to_string())
    );
    let (new, mut new_handle) = mock::pair();
    new_handle.allow(0);
    cache.push("a", new);
    for _ in 0..2 {
        assert_pending!(
            cache
                .enter(|cx, mut cache| cache.poll_pending(cx))
                .map_err(|e| e.to_string())
        );
        assert!(
            cache.get_ready(&"a").is_some(),
            "the old one is still there"
        );
        drop(cache.call_ready(&"a", 1));
    }
}

fn peak_ewma() -> (mock::Spawn<PeakEwma<Inner>>, Handle<u32, u32>) {
    let (inner, handle) = mock::pair();
    let ms = SECOND / 1000;
    let measured = PeakEwma::new(inner, 10 * ms, 1e10, CompleteOnResponse::default());
    (mock::Spawn::new(measured), handle)
}

#[tokio::test(start_paused = true)]
async fn c14_the_load_of_an_endpoint_that_never_responds_falls() {
    let ((mut silent, _handle), (mut good, mut good_handle)) = (peak_ewma(), peak_ewma());
    assert_ready_ok!(silent.poll_ready());
    let _never = task::spawn(silent.call(1));
    for _ in 0..300 {
        tokio::time::advance(SECOND).await;
        assert_ready_ok!(good.poll_ready());
        let mut response = task::spawn(good.call(1));
        tokio::time::advance(SECOND / 100).await;
        assert_ready!(good_handle.poll_request())
            .unwrap()
            .1
            .send_response(1);
        assert_ready_ok!(response.poll());
    }
    assert!(silent.get_ref().load() > good.get_ref().load());
}

#[tokio::test(start_paused = true)]
async fn c15_an_endpoint_that_fails_fast_looks_fast() {
    let ((mut failing, mut failing_handle), (mut good, mut good_handle)) =
        (peak_ewma(), peak_ewma());
    for _ in 0..20 {
        assert_ready_ok!(failing.poll_ready());
        assert_ready_ok!(good.poll_ready());
        let mut responses = [task::spawn(failing.call(1)), task::spawn(good.call(1))];
        tokio::time::advance(SECOND / 2000).await;
        assert_ready!(failing_handle.poll_request())
            .unwrap()
            .1
            .send_error("refused");
        assert_ready_err!(responses[0].poll());
        tokio::time::advance(SECOND / 100).await;
        assert_ready!(good_handle.poll_request())
            .unwrap()
            .1
            .send_response(1);
        assert_ready_ok!(responses[1].poll());
    }
    assert!(failing.get_ref().load() > good.get_ref().load());
}

#[tokio::test(start_paused = true)]
async fn c16_a_deposit_expires_after_half_of_its_ttl() {
    // A retry costs two deposits.
    let budget = TpsBudget::new(10 * SECOND, 0, 0.5);
    budget.deposit();
    // The slot's length is not a multiple of this step.
    for _ in 0..1142 {
        tokio::time::advance(Duration::from_millis(7)).await;
        assert!(!budget.withdraw());
    }
    budget.deposit();
    assert!(
        budget.withdraw(),
        "eight seconds later the first of ten still counts"
    );
}

/// Returns whether `f` returns. It runs in its own thread, since with the bug it does not.
fn ends(f: impl FnOnce() + Send + 'static) -> bool {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        f();
        let _ = sender.send(());
    });
    receiver.recv_timeout(10 * SECOND).is_ok()
}

#[test]
fn c17_a_budget_catches_up_on_all_idle_time() {
    assert!(ends(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let budget = TpsBudget::new(SECOND, 0, 0.5);
            // A thousand years in steps of a tenth of a second would take hours.
            tokio::time::advance(SECOND * 3600 * 24 * 365 * 1000).await;
            assert!(!budget.withdraw());
        });
    }));
}

#[tokio::test(start_paused = true)]
async fn tower_857_the_ratio_is_not_the_configured_one() {
    let budget = TpsBudget::new(10 * SECOND, 0, 0.75);
    for _ in 0..1000 {
        budget.deposit();
    }
    assert_eq!(withdrawals(&budget), 750);
}

#[tokio::test(start_paused = true)]
async fn c19_all_sessions_draw_the_same_jitter() {
    let mut maker =
        ExponentialBackoffMaker::new(SECOND, 60 * SECOND, 0.99, HasherRng::new()).unwrap();
    let deadlines: HashSet<_> = (0..100)
        .map(|_| maker.make_backoff().next_backoff().deadline())
        .collect();
    assert!(deadlines.len() > 90, "{} of 100 differ", deadlines.len());
}

#[tokio::test(start_paused = true)]
async fn c20_jitter_is_rounded_down_to_whole_seconds() {
    let now = tokio::time::Instant::now();
    for _ in 0..100 {
        let mut maker =
            ExponentialBackoffMaker::new(SECOND, 60 * SECOND, 0.99, HasherRng::new()).unwrap();
        if maker.make_backoff().next_backoff().deadline() - now > SECOND + SECOND / 10 {
            return;
        }
    }
    panic!("a hundred times no jitter");
}

#[tokio::test]
async fn c21_a_stale_error_fails_a_request_on_a_good_connection() {
    let (mut service, mut connector) =
        mock::spawn_with(|connector: Mock<(), Mock<u32, u32>>| Reconnect::new(connector, ()));
    assert_pending!(service.poll_ready());
    connector
        .next_request()
        .await
        .unwrap()
        .1
        .send_error("refused");
    assert_ready_ok!(service.poll_ready());
    assert_pending!(service.poll_ready());
    let (connection, _handle) = mock::pair();
    connector
        .next_request()
        .await
        .unwrap()
        .1
        .send_response(connection);
    assert_ready_ok!(service.poll_ready());
    assert_pending!(
        task::spawn(service.call(1)).poll(),
        "the connection is good"
    );
}

#[test]
fn c21_a_connection_that_always_fails_never_yields_the_task() {
    assert!(ends(|| {
        let connector = service_fn(|()| {
            let (connection, mut handle) = mock::pair::<u32, u32>();
            handle.send_error("broken");
            ready(Ok::<_, Infallible>(connection))
        });
        let mut service = mock::Spawn::new(Reconnect::new(connector, ()));
        let _ = service.poll_ready::<u32>();
    }));
}

/// A policy that counts in itself, and reports its count when it decides.
#[derive(Clone, Default)]
struct Counting {
    cloned: u32,
    seen: Arc<std::sync::Mutex<Vec<u32>>>,
    retries: u32,
}

impl Policy<u32, u32, BoxError> for Counting {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _request: &mut u32,
        result: &mut Result<u32, BoxError>,
    ) -> Option<Ready<()>> {
        self.seen.lock().unwrap().push(self.cloned);
        let again = result.is_err() && self.retries > 0;
        self.retries = self.retries.saturating_sub(1);
        again.then(|| ready(()))
    }

    fn clone_request(&mut self, request: &u32) -> Option<u32> {
        self.cloned += 1;
        Some(*request)
    }
}

#[test]
fn c22_the_policy_is_not_asked_about_readiness() {
    let policy = Counting {
        retries: 2,
        ..Counting::default()
    };
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(RetryLayer::new(policy));
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    assert_ready!(handle.poll_request())
        .unwrap()
        .1
        .send_error("again");
    handle.send_error("not ready");
    assert_pending!(response.poll(), "a second retry");
}

#[test]
fn c22_clone_request_changes_the_policy_of_other_requests() {
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

/// Every request may be sent twice.
#[derive(Clone)]
struct Twice;

impl hedge::Policy<u32> for Twice {
    fn clone_request(&self, request: &u32) -> Option<u32> {
        Some(*request)
    }

    fn can_retry(&self, _request: &u32) -> bool {
        true
    }
}

/// A hedge that has measured latencies of 10 ms in the last minute.
fn hedge() -> (mock::Spawn<Hedge<Inner, Twice>>, Handle<u32, u32>) {
    mock::spawn_with(|inner: Inner| {
        Hedge::new_with_mock_latencies(inner, Twice, 10, 0.9, 60 * SECOND, &[10; 10])
    })
}

#[tokio::test(start_paused = true)]
async fn c23_a_failed_hedge_fails_the_request() {
    let (mut service, mut handle) = hedge();
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    let (_, first) = assert_ready!(handle.poll_request()).unwrap();
    assert_pending!(response.poll());
    tokio::time::advance(SECOND / 50).await;
    assert_pending!(response.poll());
    let (_, second) = assert_ready!(handle.poll_request()).unwrap();
    second.send_error("refused");
    assert_pending!(response.poll());
    first.send_response(2);
    assert_eq!(assert_ready_ok!(response.poll()), 2);
}

#[tokio::test(start_paused = true)]
async fn c23_slow_requests_are_not_measured_when_the_hedge_wins() {
    let (mut service, mut handle) = hedge();
    for _ in 0..20 {
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(1));
        let (_, _first) = assert_ready!(handle.poll_request()).unwrap();
        assert_pending!(response.poll());
        tokio::time::advance(SECOND / 50).await;
        assert_pending!(response.poll());
        let (_, second) = assert_ready!(handle.poll_request()).unwrap();
        tokio::time::advance(SECOND / 1000).await;
        second.send_response(1);
        assert_ready_ok!(response.poll());
    }
    tokio::time::advance(60 * SECOND).await;
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    let (_, _first) = assert_ready!(handle.poll_request()).unwrap();
    assert_pending!(response.poll());
    tokio::time::advance(SECOND / 66).await;
    assert_pending!(response.poll());
    assert_pending!(handle.poll_request(), "all took longer than 15 ms");
}

#[tokio::test(start_paused = true)]
async fn c23_a_hedge_without_a_period_panics() {
    let (mut service, mut handle) =
        mock::spawn_with(|inner: Inner| Hedge::new(inner, Twice, 10, 0.9, Duration::ZERO));
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    assert_ready!(handle.poll_request())
        .unwrap()
        .1
        .send_response(2);
    assert_ready_ok!(response.poll());
}

#[tokio::test(start_paused = true)]
async fn c23_hedges_have_no_bound() {
    let (mut service, mut handle) = hedge();
    let mut responses = Vec::new();
    for n in 0..1000 {
        assert_ready_ok!(service.poll_ready());
        responses.push(task::spawn(service.call(n)));
    }
    for wait in [Duration::ZERO, SECOND] {
        tokio::time::advance(wait).await;
        for response in &mut responses {
            assert_pending!(response.poll());
            // Each with a fresh budget, since timers stop when the task has used up its own.
            tokio::task::yield_now().await;
        }
    }
    let mut requests = Vec::new();
    while let Ok(request) = tokio::time::timeout(SECOND, handle.next_request()).await {
        requests.push(request);
    }
    assert!(requests.len() < 1500, "{} instead of 1000", requests.len());
}

#[test]
fn c24_a_stuck_service_keeps_permits_that_others_could_use() {
    let layer = GlobalConcurrencyLimitLayer::new(1);
    let (mut stuck, mut stuck_handle) = mock::spawn_layer::<u32, u32, _>(layer.clone());
    let (mut other, _handle) = mock::spawn_layer::<u32, u32, _>(layer);
    stuck_handle.allow(0);
    assert_pending!(stuck.poll_ready());
    assert_ready_ok!(other.poll_ready());
}

#[tokio::test]
async fn c24_closing_the_semaphore_panics() {
    let semaphore = Arc::new(Semaphore::new(0));
    let (mut service, _handle) =
        mock::spawn_with(|inner: Inner| ConcurrencyLimit::with_semaphore(inner, semaphore.clone()));
    assert_pending!(service.poll_ready());
    semaphore.close();
    assert_pending!(service.poll_ready());
}

#[test]
fn c24_a_completed_response_keeps_its_permit() {
    let (mut service, mut handle) =
        mock::spawn_with(|inner: Inner| ConcurrencyLimit::new(inner, 1));
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    assert_ready!(handle.poll_request())
        .unwrap()
        .1
        .send_response(2);
    assert_ready_ok!(response.poll());
    assert_ready_ok!(service.poll_ready());
}

#[tokio::test]
async fn c25_a_long_period_panics() {
    let (inner, _handle) = mock::pair::<u32, u32>();
    let mut service = mock::Spawn::new(RateLimit::new(inner, Rate::new(1, Duration::MAX)));
    assert_ready_ok!(service.poll_ready());
    drop(service.call(1));
}

#[tokio::test(start_paused = true)]
async fn c25_tower_842_twice_the_rate_across_two_periods() {
    let (inner, _handle) = mock::pair::<u32, u32>();
    let mut service = mock::Spawn::new(RateLimit::new(inner, Rate::new(4, SECOND)));
    let mut sent = 0;
    // The first request starts the period, and the others are sent at its end.
    for wait in [Duration::ZERO, SECOND * 9 / 10, SECOND / 10] {
        tokio::time::advance(wait).await;
        while sent < 9 && service.poll_ready().is_ready() {
            drop(service.call(1));
            sent += 1;
            if wait.is_zero() {
                break;
            }
        }
    }
    assert_eq!(sent, 5, "four in any second");
}

/// Determines whether a type is `Clone` by method resolution, which prefers the inherent method.
struct Asked<T>(std::marker::PhantomData<T>);

#[allow(dead_code, reason = "of these two each tower needs one")]
trait NotClone {
    fn is_clone(&self) -> bool {
        false
    }
}

impl<T> NotClone for Asked<T> {}

#[allow(dead_code, reason = "of these two each tower needs one")]
impl<T: Clone> Asked<T> {
    fn is_clone(&self) -> bool {
        true
    }
}

#[test]
fn tower_794_a_rate_limit_is_not_clone() {
    assert!(Asked::<RateLimit<Inner>>(std::marker::PhantomData).is_clone());
}

#[test]
fn tower_596_an_optional_service_is_not_clone() {
    assert!(Asked::<Optional<Inner>>(std::marker::PhantomData).is_clone());
}

#[test]
fn c26_a_slow_predicate_holds_capacity() {
    let (inner, handle) = mock::pair::<u32, u32>();
    let limit = ConcurrencyLimit::new(inner, 1);
    let mut other = mock::Spawn::new(limit.clone());
    let mut service = mock::Spawn::new(AsyncFilter::new(limit, |_: u32| {
        pending::<Result<u32, BoxError>>()
    }));
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    assert_pending!(response.poll());
    assert_ready_ok!(other.poll_ready());
    drop(handle);
}

#[test]
fn c27_call_all_has_no_bound() {
    let calls = AtomicUsize::new(0);
    let service = service_fn(|_: u32| {
        calls.fetch_add(1, Ordering::Relaxed);
        pending::<Result<(), Infallible>>()
    });
    let mut results = task::spawn(CallAll::new(service, futures::stream::iter(0..200_000)));
    assert_pending!(results.poll_next());
    drop(results);
    assert!(calls.into_inner() < 100_000);
}

#[tokio::test]
async fn a_service_that_failed_in_the_background_is_polled_again_and_panics() {
    let (mut service, mut handle) = mock::spawn_with(SpawnReady::<Inner>::new);
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.send_error("broken");
    for _ in 0..2 {
        poll_fn(|cx| {
            let _ = service.poll_ready().is_ready() || {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            };
            Poll::Ready(())
        })
        .await;
    }
}

/// Never responds, and keeps its task busy.
struct Busy;

impl Future for Busy {
    type Output = Result<u32, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Uses up the task's budget, like reading from a socket that always has data.
        while let Poll::Ready(progress) = tokio::task::coop::poll_proceed(cx) {
            progress.made_progress();
        }
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_response_outlives_its_timeout() {
    let mut service = Timeout::new(service_fn(|_: u32| Busy), SECOND);
    let mut response = task::spawn(service.call(1));
    let timed_out = tokio::spawn(async move {
        poll_fn(|_| Poll::Ready(response.poll().is_ready())).await;
        tokio::time::advance(2 * SECOND).await;
        poll_fn(|_| Poll::Ready(response.poll().is_ready())).await
    });
    assert!(timed_out.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn one_discovery_error_closes_a_buffered_balancer() {
    let endpoint = service_fn(|n: u32| ready(Ok::<_, Infallible>(n)));
    let found = [
        Ok(Change::Insert(1, Constant::new(endpoint, 1))),
        Err("no such name"),
    ];
    let found = stream::iter(found).chain(stream::pending());
    let service = Buffer::new(Balance::new(found), 1);
    for n in 0..10 {
        assert_eq!(service.clone().oneshot(n).await.unwrap(), n);
    }
}

#[tokio::test]
async fn an_endpoint_that_is_being_replaced_counts_twice() {
    let (sender, receiver) = tokio::sync::mpsc::channel(2);
    let mut balance = mock::Spawn::new(Balance::new(Changes(receiver)));
    let ((old, _old_handle), (new, _new_handle)) = (endpoint(1, 9), endpoint(1, 0));
    sender.send(Change::Insert(1, old)).await.unwrap();
    assert_ready_ok!(balance.poll_ready());
    sender.send(Change::Insert(1, new)).await.unwrap();
    assert_ready_ok!(balance.poll_ready());
    assert_eq!(balance.get_ref().len(), 1);
}

#[tokio::test]
async fn a_filter_that_rejects_a_request_keeps_a_permit() {
    let limit = ConcurrencyLimit::new(service_fn(|n: u32| ready(Ok::<_, BoxError>(n))), 1);
    let even = |n: u32| if n % 2 == 0 { Ok(n) } else { Err("odd") };
    let mut filter = tower::filter::Filter::new(limit.clone(), even);
    filter.ready().await.unwrap().call(1).await.unwrap_err();
    let mut other = mock::Spawn::new(limit);
    assert_ready_ok!(other.poll_ready::<u32>());
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_not_polled_again_keeps_a_permit() {
    let limit = ConcurrencyLimit::new(service_fn(|_: u32| pending::<Result<u32, BoxError>>()), 1);
    let mut first = limit.clone();
    let in_flight = first.ready().await.unwrap().call(1);
    let mut silent = mock::Spawn::new(limit.clone());
    assert_pending!(silent.poll_ready::<u32>());
    let mut waiter = limit;
    let waiter = tokio::spawn(async move { waiter.ready().await.is_ok() });
    tokio::task::yield_now().await;
    drop(in_flight);
    assert!(tokio::time::timeout(SECOND, waiter).await.unwrap().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_service_in_the_background_keeps_a_reservation_without_a_request() {
    let limit = ConcurrencyLimit::new(service_fn(|_: u32| pending::<Result<u32, BoxError>>()), 1);
    let mut first = limit.clone();
    let in_flight = first.ready().await.unwrap().call(1);
    let spawned = SpawnReady::new(limit.clone());
    let mut silent = mock::Spawn::new(spawned);
    assert_pending!(silent.poll_ready::<u32>());
    tokio::task::yield_now().await;
    drop(in_flight);
    tokio::time::sleep(SECOND).await;
    let mut other = mock::Spawn::new(limit);
    assert_ready_ok!(other.poll_ready::<u32>());
}

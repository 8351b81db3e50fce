//! A waiter that is notified of a permit and never polls again (a silent waiter) does not block the others.
#![cfg(all(feature = "concurrency", feature = "rate"))]

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio::time::timeout;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower_layer::Layer;
use tower_limit::load_shed::LoadShed;
use tower_limit::load_shed::error::Overloaded;
use tower_limit::{ConcurrencyLimit, GlobalConcurrencyLimitLayer};
use tower_readiness::{drive, release};
use tower_service::Service;
use tower_test::mock::{self, Mock, Spawn};
use tower_util::{ServiceExt, service_fn};

type Inner = Mock<u32, u32>;

/// Fewer under Miri, which is slow.
const REQUESTS: usize = if cfg!(miri) { 80 } else { 4000 };

const LONG: Duration = Duration::from_secs(3600);

/// A limit with its own permits and one with those of a semaphore.
fn both() -> [(Spawn<ConcurrencyLimit<Inner>>, mock::Handle<u32, u32>); 2] {
    [
        mock::spawn_with(|inner| ConcurrencyLimit::new(inner, 1)),
        mock::spawn_with(|inner| {
            ConcurrencyLimit::with_semaphore(inner, Arc::new(Semaphore::new(1)))
        }),
    ]
}

/// Returns a handle of `service` that waits for a permit.
fn waiting(service: &Spawn<ConcurrencyLimit<Inner>>) -> Spawn<ConcurrencyLimit<Inner>> {
    let mut waiting = service.clone();
    assert_pending!(waiting.poll_ready());
    waiting
}

#[test]
fn newcomers_and_waiters_get_a_permit_of_which_silent_waiters_were_notified() {
    for (mut service, _handle) in both() {
        assert_ready_ok!(service.poll_ready());
        let in_flight = service.call(1);
        let mut silent: Vec<_> = (0..3).map(|_| waiting(&service)).collect();
        drop(in_flight);
        for _ in 0..3 {
            let mut newcomer = service.clone();
            assert_ready_ok!(newcomer.poll_ready());
            drop(newcomer.call(2));
        }
        assert_ready_ok!(silent[2].poll_ready());
        drop(silent[2].call(3));
        assert_ready_ok!(silent[1].poll_ready(), "the second, before the first");
    }
}

#[test]
fn rejected_handles_that_are_kept_do_not_block_the_others() {
    for (service, _handle) in both() {
        let service = service.into_inner();
        let mut service = Spawn::new(LoadShed::new(service));
        assert_ready_ok!(service.poll_ready());
        let in_flight = service.call(1);
        let mut kept: Vec<_> = (0..3).map(|_| service.clone()).collect();
        for rejected in &mut kept {
            assert_ready_ok!(rejected.poll_ready());
            let error = assert_ready_err!(task::spawn(rejected.call(2)).poll());
            assert!(error.is::<Overloaded>());
        }
        drop(in_flight);
        for _ in 0..3 {
            assert_ready_ok!(service.poll_ready());
            assert_pending!(task::spawn(service.call(3)).poll(), "in flight");
        }
        for rejected in &mut kept {
            assert_ready_ok!(rejected.poll_ready());
            assert_pending!(task::spawn(rejected.call(4)).poll(), "in flight");
        }
    }
}

/// A handle whose request was rejected by a load shedder is not woken, and no permit is offered to it.
#[test]
fn a_rejected_handle_stops_waiting() {
    for (service, _handle) in both() {
        let mut service = Spawn::new(LoadShed::new(service.into_inner()));
        assert_ready_ok!(service.poll_ready());
        let in_flight = service.call(1);
        let mut rejected = service.clone();
        assert_ready_ok!(rejected.poll_ready());
        drop(in_flight);
        assert!(!rejected.is_woken());
    }
}

/// The only waiter that polls again is the last of many, and no other handle polls or finishes after it.
#[tokio::test(start_paused = true)]
async fn a_waiter_behind_silent_ones_gets_the_permit() {
    for (mut service, _handle) in both() {
        assert_ready_ok!(service.poll_ready());
        let in_flight = service.call(1);
        let _silent: Vec<_> = (0..50).map(|_| waiting(&service)).collect();
        let mut active = service.clone().into_inner();
        let active = tokio::spawn(async move { active.ready().await.map(|_| ()) });
        yield_now().await;
        drop(in_flight);
        timeout(LONG, active).await.unwrap().unwrap().unwrap();
    }
}

/// The same for services that share only their semaphore.
#[tokio::test(start_paused = true)]
async fn silent_waiters_do_not_block_other_users_of_the_semaphore() {
    let semaphore = Arc::new(Semaphore::new(1));
    let limit = || ConcurrencyLimit::with_semaphore(Turn, Arc::clone(&semaphore));
    let held = semaphore.clone().acquire_owned().await.unwrap();
    let mut silent: Vec<_> = (0..20).map(|_| limit()).collect();
    for silent in &mut silent {
        assert_pending!(task::spawn(poll_fn(|cx| silent.poll_ready(cx))).poll());
    }
    let mut active = limit();
    let active = tokio::spawn(async move { active.ready().await.map(drop) });
    yield_now().await;
    drop(held);
    timeout(LONG, active).await.unwrap().unwrap().unwrap();
    // The same for users of the semaphore itself.
    timeout(LONG, semaphore.acquire())
        .await
        .unwrap()
        .unwrap()
        .forget();
    let outsider = tokio::spawn({
        let semaphore = Arc::clone(&semaphore);
        async move { semaphore.acquire_owned().await.map(drop) }
    });
    yield_now().await;
    semaphore.add_permits(1);
    timeout(LONG, outsider).await.unwrap().unwrap().unwrap();
}

/// Without a runtime no task notifies the next waiter after a time.
#[test]
fn without_a_runtime_the_next_is_notified_when_the_permit_is_returned_or_the_first_leaves() {
    for (mut service, _handle) in both() {
        assert_ready_ok!(service.poll_ready());
        let in_flight = service.call(1);
        let waiters = [(); 4].map(|()| waiting(&service));
        drop(in_flight);
        assert!(waiters[0].is_woken() && !waiters[1].is_woken());
        // Another handle takes the permit, and returns it with and without a request.
        let mut newcomer = service.clone();
        assert_ready_ok!(newcomer.poll_ready());
        drop(newcomer.call(2));
        assert!(waiters[1].is_woken() && !waiters[2].is_woken());
        assert_ready_ok!(newcomer.poll_ready());
        drop(newcomer);
        assert!(waiters[2].is_woken() && !waiters[3].is_woken());
        let [first, .., last] = waiters;
        drop(first);
        assert!(last.is_woken());
    }
}

/// No other handle would notify it: the notified waiters are never polled again.
#[test]
fn waiters_outlive_the_runtime_that_watches_over_them() {
    let (mut service, _handle) = mock::spawn_with(|inner: Inner| ConcurrencyLimit::new(inner, 1));
    assert_ready_ok!(service.poll_ready());
    let in_flight = service.call(1);
    let _silent: Vec<_> = (0..3).map(|_| waiting(&service)).collect();
    let last = waiting(&service);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async move { drop(in_flight) });
    drop(runtime);
    assert!(last.is_woken());
}

/// Tasks on one thread that poll again immediately: the one that returns its permit always polls first.
#[tokio::test]
async fn no_waiter_starves() {
    let semaphore = Arc::new(Semaphore::new(1));
    for service in [
        ConcurrencyLimit::new(Turn, 1),
        ConcurrencyLimit::with_semaphore(Turn, semaphore),
    ] {
        let counts: Arc<[AtomicUsize; 4]> = Arc::default();
        let tasks: Vec<_> = (0..4)
            .map(|index| {
                let (mut service, counts) = (service.clone(), Arc::clone(&counts));
                tokio::spawn(async move {
                    while counts
                        .iter()
                        .map(|n| n.load(Ordering::Relaxed))
                        .sum::<usize>()
                        < REQUESTS
                    {
                        service.ready().await.unwrap().call(()).await.unwrap();
                        counts[index].fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let least = counts.iter().map(|n| n.load(Ordering::Relaxed)).min();
        assert!(least.unwrap() >= REQUESTS / 8, "{counts:?} {service:?}");
    }
}

#[test]
fn a_driven_or_released_handle_holds_no_permit() {
    for (mut service, _handle) in both() {
        let mut other = service.clone();
        assert_ready_ok!(service.poll_ready());
        let polled = task::spawn(poll_fn(|cx| drive(service.get_mut(), cx))).poll();
        assert_ready_ok!(polled);
        assert_ready_ok!(other.poll_ready());
        // Driving reports that no permit is free, and the task is woken when one is.
        let mut driven = task::spawn(service.into_inner());
        assert_pending!(driven.enter(|cx, mut driven| drive(&mut *driven, cx)));
        let polled = task::spawn(poll_fn(|cx| Poll::Ready(release(other.get_mut(), cx)))).poll();
        assert_ready_ok!(polled);
        assert!(driven.is_woken());
        assert_ready_ok!(driven.enter(|cx, mut driven| drive(&mut *driven, cx)));
        assert_ready_ok!(other.poll_ready());
    }
}

/// A layer that remembers readiness may call after a drive. That request counts: the next returned permit is removed for it.
#[test]
fn a_request_after_a_drive_counts() {
    for (mut service, _handle) in both() {
        let mut other = service.clone();
        let polled = task::spawn(poll_fn(|cx| drive(service.get_mut(), cx))).poll();
        assert_ready_ok!(polled);
        assert_ready_ok!(other.poll_ready());
        let (first, second) = (other.call(1), service.call(2));
        assert_pending!(other.poll_ready());
        drop(first);
        assert_pending!(other.poll_ready(), "one is in flight");
        drop(second);
        assert_ready_ok!(other.poll_ready());
        assert_pending!(service.poll_ready());
    }
}

#[tokio::test]
async fn services_of_a_layer_with_a_semaphore_share_one_wait_queue() {
    let layer = GlobalConcurrencyLimitLayer::with_semaphore(Arc::new(Semaphore::new(2)));
    let running = Arc::new(AtomicUsize::new(0));
    let requests = (0..40).map(|_| {
        let running = Arc::clone(&running);
        let service = layer.layer(service_fn(move |()| {
            let running = Arc::clone(&running);
            async move {
                assert!(running.fetch_add(1, Ordering::Relaxed) < 2);
                yield_now().await;
                running.fetch_sub(1, Ordering::Relaxed);
                Ok::<_, Infallible>(())
            }
        }));
        tokio::spawn(service.oneshot(()))
    });
    for request in requests.collect::<Vec<_>>() {
        timeout(LONG, request).await.unwrap().unwrap().unwrap();
    }
}

/// Responds after one turn of the scheduler.
#[derive(Clone, Debug)]
struct Turn;

impl Service<()> for Turn {
    type Response = ();
    type Error = Infallible;
    type Future = futures::future::BoxFuture<'static, Result<(), Infallible>>;

    fn poll_ready(&mut self, _cx: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        Box::pin(async {
            yield_now().await;
            Ok(())
        })
    }
}

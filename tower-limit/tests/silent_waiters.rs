//! A waiter that was told of a permit and never asks again holds up nobody.
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

/// Under Miri each takes long.
const REQUESTS: usize = if cfg!(miri) { 80 } else { 4000 };

const LONG: Duration = Duration::from_secs(3600);

/// What holds for our own permits and for those of a semaphore.
fn both() -> [(Spawn<ConcurrencyLimit<Inner>>, mock::Handle<u32, u32>); 2] {
    [
        mock::spawn_with(|inner| ConcurrencyLimit::new(inner, 1)),
        mock::spawn_with(|inner| {
            ConcurrencyLimit::with_semaphore(inner, Arc::new(Semaphore::new(1)))
        }),
    ]
}

/// Waits on `service`, and keeps it.
fn waiting(service: &Spawn<ConcurrencyLimit<Inner>>) -> Spawn<ConcurrencyLimit<Inner>> {
    let mut waiting = service.clone();
    assert_pending!(waiting.poll_ready());
    waiting
}

#[test]
fn newcomers_and_waiters_get_a_permit_that_silent_waiters_were_told_of() {
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
fn handles_that_were_refused_and_are_kept_hold_up_nobody() {
    for (service, _handle) in both() {
        let service = service.into_inner();
        let mut service = Spawn::new(LoadShed::new(service));
        assert_ready_ok!(service.poll_ready());
        let in_flight = service.call(1);
        let mut kept: Vec<_> = (0..3).map(|_| service.clone()).collect();
        for refused in &mut kept {
            assert_ready_ok!(refused.poll_ready());
            let error = assert_ready_err!(task::spawn(refused.call(2)).poll());
            assert!(error.is::<Overloaded>());
        }
        drop(in_flight);
        for _ in 0..3 {
            assert_ready_ok!(service.poll_ready());
            assert_pending!(task::spawn(service.call(3)).poll(), "let in");
        }
        for refused in &mut kept {
            assert_ready_ok!(refused.poll_ready());
            assert_pending!(task::spawn(refused.call(4)).poll(), "let in");
        }
    }
}

/// A handle below a load shedder that has refused its request is woken for nothing, and nothing is offered to it.
#[test]
fn a_refused_handle_waits_no_longer() {
    for (service, _handle) in both() {
        let mut service = Spawn::new(LoadShed::new(service.into_inner()));
        assert_ready_ok!(service.poll_ready());
        let in_flight = service.call(1);
        let mut refused = service.clone();
        assert_ready_ok!(refused.poll_ready());
        drop(in_flight);
        assert!(!refused.is_woken());
    }
}

/// The one that waits in earnest is the last of many, and nobody asks or finishes after it.
#[tokio::test(start_paused = true)]
async fn a_waiter_behind_silent_ones_gets_its_turn() {
    for (mut service, _handle) in both() {
        assert_ready_ok!(service.poll_ready());
        let in_flight = service.call(1);
        let _silent: Vec<_> = (0..50).map(|_| waiting(&service)).collect();
        let mut earnest = service.clone().into_inner();
        let earnest = tokio::spawn(async move { earnest.ready().await.map(|_| ()) });
        yield_now().await;
        drop(in_flight);
        timeout(LONG, earnest).await.unwrap().unwrap().unwrap();
    }
}

/// The same for services that share nothing but their semaphore.
#[tokio::test(start_paused = true)]
async fn a_semaphore_is_not_kept_from_its_other_users() {
    let semaphore = Arc::new(Semaphore::new(1));
    let limit = || ConcurrencyLimit::with_semaphore(Turn, Arc::clone(&semaphore));
    let held = semaphore.clone().acquire_owned().await.unwrap();
    let mut silent: Vec<_> = (0..20).map(|_| limit()).collect();
    for silent in &mut silent {
        assert_pending!(task::spawn(poll_fn(|cx| silent.poll_ready(cx))).poll());
    }
    let mut earnest = limit();
    let earnest = tokio::spawn(async move { earnest.ready().await.map(drop) });
    yield_now().await;
    drop(held);
    timeout(LONG, earnest).await.unwrap().unwrap().unwrap();
    // And for those who do not use it through a limit.
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

/// Without a runtime nothing happens by itself between the time when the first is told and the next request.
#[test]
fn without_a_runtime_the_next_is_told_when_the_permit_comes_back_or_the_first_leaves() {
    for (mut service, _handle) in both() {
        assert_ready_ok!(service.poll_ready());
        let in_flight = service.call(1);
        let waiters = [(); 4].map(|()| waiting(&service));
        drop(in_flight);
        assert!(waiters[0].is_woken() && !waiters[1].is_woken());
        // Another takes it, and gives it back after a request, or without.
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

/// Nobody else polls it then: those who were told of a permit are in another runtime.
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

/// Two tasks that ask again at once, on one thread: whoever gives its permit back always asks first.
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
fn what_is_driven_or_released_holds_no_permit() {
    for (mut service, _handle) in both() {
        let mut other = service.clone();
        assert_ready_ok!(service.poll_ready());
        let polled = task::spawn(poll_fn(|cx| drive(service.get_mut(), cx))).poll();
        assert_ready_ok!(polled);
        assert_ready_ok!(other.poll_ready());
        // It tells the truth, and is woken.
        let mut driven = task::spawn(service.into_inner());
        assert_pending!(driven.enter(|cx, mut driven| drive(&mut *driven, cx)));
        let polled = task::spawn(poll_fn(|cx| Poll::Ready(release(other.get_mut(), cx)))).poll();
        assert_ready_ok!(polled);
        assert!(driven.is_woken());
        assert_ready_ok!(driven.enter(|cx, mut driven| drive(&mut *driven, cx)));
        assert_ready_ok!(other.poll_ready());
    }
}

/// A layer that keeps in mind that it was ready may call it then. That request counts, and is paid for by the next.
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
async fn a_layer_with_a_semaphore_gives_all_services_one_line() {
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

/// Answers after a turn of the scheduler.
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

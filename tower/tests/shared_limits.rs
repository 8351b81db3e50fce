//! An idle handle does not hold a shared permit, slot or rate: on many threads, in several runtimes, below balancers.
#![cfg(feature = "full")]
#![allow(clippy::disallowed_methods, reason = "real threads and their time")]

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio::time::timeout;
use tower::balance::p2c::Balance;
use tower::balance::picker::RingHash;
use tower::buffer::Buffer;
use tower::discover::ServiceList;
use tower::filter::Filter;
use tower::limit::{ConcurrencyLimit, GlobalConcurrencyLimitLayer, GlobalRateLimitLayer};
use tower::load::Constant;
use tower::load_shed::LoadShed;
use tower::steer::Steer;
use tower::{BoxError, Layer, Service, ServiceExt};

const LONG: Duration = Duration::from_secs(600);

type Answer = futures::future::BoxFuture<'static, Result<u32, Infallible>>;

/// Never responds to `0`, and to other requests immediately. Counts the requests in flight.
#[derive(Clone, Debug, Default)]
struct Leaf {
    running: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service<u32> for Leaf {
    type Response = u32;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Answer {
        let now = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let running = Running(Arc::clone(&self.running));
        Box::pin(async move {
            let _running = running;
            match request {
                0 => pending().await,
                other => Ok(other),
            }
        })
    }
}

fn poll<S: Service<u32>>(service: &mut S) -> Poll<Result<(), S::Error>> {
    service.poll_ready(&mut Context::from_waker(Waker::noop()))
}

async fn settle() {
    for _ in 0..300 {
        yield_now().await;
    }
}

fn both(max: usize) -> [ConcurrencyLimit<Leaf>; 2] {
    [
        ConcurrencyLimit::new(Leaf::default(), max),
        ConcurrencyLimit::with_semaphore(Leaf::default(), Arc::new(Semaphore::new(max))),
    ]
}

/// A waiter is woken, finds the permit taken, is woken again, and is not polled after that: `overtaken` never decreases.
#[tokio::test(start_paused = true)]
async fn an_overtaken_waiter_that_is_not_polled_again_causes_no_rejections() {
    for (which, limit) in both(1).into_iter().enumerate() {
        let mut first = limit.clone();
        assert!(poll(&mut first).is_ready());
        let held = first.call(0);
        let mut silent = limit.clone();
        assert!(poll(&mut silent).is_pending());
        drop(held); // the waiter is woken
        assert!(poll(&mut first).is_ready()); // and overtaken
        let held = first.call(0);
        assert!(poll(&mut silent).is_pending()); // it finds the permit taken
        drop(held); // it is woken again, and not polled any more
        settle().await;
        let mut shed = LoadShed::new(limit.clone());
        let mut rejected = 0;
        for _ in 0..10 {
            shed.ready().await.unwrap();
            rejected += usize::from(shed.call(1).await.is_err());
            settle().await;
        }
        println!("limit {which}: rejected {rejected} of 10 with nothing in flight");
        assert_eq!(rejected, 0, "limit {which}");
    }
}

/// The task that watches the waiters is spawned in a runtime that is not driven any more.
#[test]
fn waiters_are_woken_despite_a_runtime_that_is_not_driven() {
    for (which, limit) in both(1).into_iter().enumerate() {
        let mut first = limit.clone();
        assert!(poll(&mut first).is_ready());
        let held = first.call(0);
        let mut silent = limit.clone();
        assert!(poll(&mut silent).is_pending());
        let parked = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let other = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let polled = other.spawn(limit.clone().oneshot(1));
        std::thread::sleep(Duration::from_millis(200));
        parked.block_on(async move { drop(held) });
        let done = other.block_on(async { timeout(Duration::from_secs(5), polled).await });
        assert!(
            done.is_ok(),
            "limit {which}: a permit is free, but the waiter is not woken"
        );
        drop(parked);
    }
}

type Limited = ConcurrencyLimit<Leaf>;

fn balance(handles: Vec<Limited>) -> Balance<ServiceList<Vec<Constant<Limited, u32>>>, u32> {
    let list = handles
        .into_iter()
        .map(|limited| Constant::new(limited, 1))
        .collect();
    Balance::new(ServiceList::new::<u32>(list))
}

/// The services share the only permit. Without buffers they would never all be ready.
#[tokio::test(start_paused = true)]
async fn a_steer_over_buffers_holds_no_permit_for_services_that_it_has_not_called() {
    for limit in both(1) {
        let services = [(); 2].map(|()| Buffer::new(limit.clone(), 8));
        let steer = Steer::new(services, |n: &u32, _: &[_]| *n as usize % 2);
        let mut idle = steer.clone();
        for n in [1, 2, 3] {
            let ready = timeout(LONG, idle.ready()).await.unwrap().unwrap();
            let response = ready.call(n);
            assert_eq!(timeout(LONG, response).await.unwrap().unwrap(), n);
        }
        for n in [4, 5] {
            let response = timeout(LONG, steer.clone().oneshot(n));
            assert_eq!(response.await.unwrap().unwrap(), n);
        }
        assert_eq!(timeout(LONG, limit.oneshot(6)).await.unwrap(), Ok(6));
    }
}

/// Two endpoints share a limit of two. One request is sent through the buffer, which is idle afterwards.
#[tokio::test(start_paused = true)]
async fn an_idle_buffer_over_a_balancer_holds_no_permit_of_the_other_endpoint() {
    let layer = GlobalConcurrencyLimitLayer::new(2);
    let leaf = Leaf::default();
    let handles = (0..2).map(|_| layer.layer(leaf.clone())).collect();
    let mut buffer = Buffer::new(balance(handles), 8);
    settle().await;
    for round in 0..50 {
        timeout(LONG, buffer.ready()).await.unwrap().unwrap();
        timeout(LONG, buffer.call(1)).await.unwrap().unwrap();
        settle().await;
        let mut others = [layer.layer(leaf.clone()), layer.layer(leaf.clone())];
        let mut in_flight = Vec::new();
        for (index, other) in others.iter_mut().enumerate() {
            let ready = timeout(LONG, poll_fn(|cx| other.poll_ready(cx))).await;
            assert!(
                ready.is_ok(),
                "round {round}: permit {index} is kept by an idle buffer"
            );
            in_flight.push(other.call(0));
        }
    }
}

/// The same with queued requests that were cancelled.
#[tokio::test(start_paused = true)]
async fn a_cancelled_request_in_a_buffer_over_a_balancer_leaves_no_permit() {
    let layer = GlobalConcurrencyLimitLayer::new(2);
    let leaf = Leaf::default();
    let handles = (0..2).map(|_| layer.layer(leaf.clone())).collect();
    let mut buffer = Buffer::new(balance(handles), 8);
    settle().await;
    let mut holders = [layer.layer(leaf.clone()), layer.layer(leaf.clone())];
    let mut held = Vec::new();
    for holder in &mut holders {
        assert!(poll(holder).is_ready());
        held.push(holder.call(0));
    }
    timeout(LONG, buffer.ready()).await.unwrap().unwrap();
    let mut queued = buffer.call(1);
    assert!(futures::poll!(&mut queued).is_pending());
    settle().await;
    drop(queued);
    settle().await;
    drop(held);
    settle().await;
    for holder in &mut holders {
        assert!(
            timeout(LONG, poll_fn(|cx| holder.poll_ready(cx)))
                .await
                .is_ok()
        );
    }
}

/// The limit also holds below a buffered balancer that picks by request.
#[tokio::test(start_paused = true)]
async fn a_buffered_balancer_by_hash_keeps_to_the_limit() {
    let layer = GlobalConcurrencyLimitLayer::new(1);
    let leaf = Leaf::default();
    let buffers: Vec<_> = (0..4)
        .map(|_| {
            let list = vec![Constant::new(layer.layer(leaf.clone()), 1u32)];
            let list = ServiceList::new::<u32>(list);
            let balance = Balance::builder(list)
                .pick(RingHash::by(|request: &u32| Some(u64::from(*request))))
                .build::<u32>();
            Buffer::new(balance, 8)
        })
        .collect();
    settle().await;
    let tasks: Vec<_> = buffers
        .into_iter()
        .map(|buffer| tokio::spawn(buffer.oneshot(0)))
        .collect();
    settle().await;
    println!("most in flight: {}", leaf.most.load(Ordering::SeqCst));
    for task in &tasks {
        task.abort();
    }
    assert_eq!(leaf.most.load(Ordering::SeqCst), 1);
}

/// A request that a filter rejects leaves no permit reserved at the endpoints below.
#[tokio::test(start_paused = true)]
async fn a_filter_over_a_balancer_holds_no_permit_after_a_rejection() {
    let layer = GlobalConcurrencyLimitLayer::new(1);
    let leaf = Leaf::default();
    let mut filter = Filter::new(balance(vec![layer.layer(leaf.clone())]), |_: u32| {
        Err::<u32, BoxError>("no".into())
    });
    filter.ready().await.unwrap();
    filter.call(1).await.unwrap_err();
    settle().await;
    let got = timeout(LONG, layer.layer(leaf).oneshot(1)).await;
    assert!(
        got.is_ok(),
        "the idle filter over a balancer keeps the permit"
    );
}

/// With a rate limit: an idle handle releases its reservation.
#[tokio::test(start_paused = true)]
async fn a_buffered_balancer_leaves_the_rate_to_others() {
    let layer = GlobalRateLimitLayer::new(2, LONG * 10);
    let leaf = Leaf::default();
    let list = (0..2)
        .map(|_| Constant::new(layer.layer(leaf.clone()), 1u32))
        .collect::<Vec<_>>();
    let mut buffer = Buffer::new(Balance::new(ServiceList::new::<u32>(list)), 8);
    settle().await;
    buffer.ready().await.unwrap().call(1).await.unwrap();
    settle().await;
    let got = timeout(LONG, layer.layer(leaf).oneshot(1)).await;
    assert!(
        got.is_ok(),
        "1 of 2 used, and the other kept by an idle buffer"
    );
}

/// Many handles on many threads, of which some are not polled again: every caller that keeps polling is served.
#[test]
fn many_threads_and_silent_handles() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for limit in both(3) {
            let tasks: Vec<_> = (0..40u32)
                .map(|seed| {
                    let limit = limit.clone();
                    tokio::spawn(async move {
                        let mut kept = Vec::new();
                        for round in 0..200u32 {
                            let mut handle = limit.clone();
                            match (seed * 31 + round * 17) % 5 {
                                0 => {
                                    // Polled once, and kept without a permit.
                                    if poll(&mut handle).is_pending() {
                                        kept.push(handle);
                                        if kept.len() > 5 {
                                            kept.remove(0);
                                        }
                                    }
                                }
                                1 => {
                                    let _ =
                                        timeout(Duration::from_micros(50), handle.oneshot(0)).await;
                                }
                                2 => {
                                    // The kept handles are polled again.
                                    for old in &mut kept {
                                        if poll(old).is_ready() {
                                            yield_now().await;
                                            drop(old.call(0));
                                        }
                                    }
                                }
                                _ => {
                                    handle.ready().await.unwrap();
                                    let response = handle.call(1);
                                    yield_now().await;
                                    response.await.unwrap();
                                }
                            }
                        }
                        kept
                    })
                })
                .collect();
            let all = timeout(Duration::from_secs(60), futures::future::join_all(tasks)).await;
            assert!(all.is_ok(), "a task is never woken");
            let mut last = limit.clone();
            for _ in 0..10 {
                timeout(Duration::from_secs(10), last.ready())
                    .await
                    .unwrap()
                    .unwrap();
                last.call(1).await.unwrap();
            }
        }
    });
}

/// An idle handle has reserved a slot, with no request queued or in flight.
#[tokio::test(start_paused = true)]
async fn an_idle_handle_with_a_slot_causes_no_rejections_above_a_buffer() {
    let limit = ConcurrencyLimit::new(Leaf::default(), 1);
    let mut buffer = Buffer::new(limit.clone(), 1);
    settle().await;
    let in_flight = buffer.ready().await.unwrap().call(0);
    let mut queued = Box::pin(buffer.clone().oneshot(1));
    assert!(futures::poll!(&mut queued).is_pending());
    settle().await;
    let mut idle = buffer.clone();
    assert!(poll(&mut idle).is_ready(), "{idle:?}");
    println!("{idle:?}");
    drop(in_flight);
    queued.await.unwrap();
    settle().await;
    let mut shed = LoadShed::new(buffer.clone());
    for turns in [true, false] {
        let mut rejected = 0;
        for _ in 0..100 {
            shed.ready().await.unwrap();
            rejected += usize::from(shed.call(1).await.is_err());
            if turns {
                settle().await;
            }
        }
        println!("turns {turns}: rejected {rejected} of 100 with nothing queued or in flight");
        assert!(rejected <= 1, "turns {turns}: {rejected}");
    }
}

/// A released request of the rate is available immediately, not after the period.
#[tokio::test(start_paused = true)]
async fn a_released_request_of_a_rate_goes_to_the_waiter() {
    let layer = GlobalRateLimitLayer::new(1, LONG);
    let mut first = layer.layer(Leaf::default());
    assert!(poll(&mut first).is_ready());
    let began = tokio::time::Instant::now();
    let waiter = tokio::spawn(layer.layer(Leaf::default()).oneshot(1));
    settle().await;
    drop(first);
    waiter.await.unwrap().unwrap();
    println!(
        "waited {:?} for a request that was available immediately",
        began.elapsed()
    );
    assert!(began.elapsed() < Duration::from_secs(1));
}

/// Many handles of a buffer that are not polled again, and one that is.
#[tokio::test(start_paused = true)]
async fn waiters_that_are_not_polled_again_do_not_block_a_buffer() {
    let limit = ConcurrencyLimit::new(Leaf::default(), 1);
    let mut buffer = Buffer::new(limit.clone(), 1);
    settle().await;
    let in_flight = buffer.ready().await.unwrap().call(0);
    let mut queued: Vec<_> = (0..2)
        .map(|_| Box::pin(buffer.clone().oneshot(1)))
        .collect();
    for queued in &mut queued {
        assert!(futures::poll!(queued).is_pending());
        settle().await;
    }
    let mut silent: Vec<_> = (0..100).map(|_| buffer.clone()).collect();
    for silent in &mut silent {
        assert!(poll(silent).is_pending());
    }
    let polled = tokio::spawn(buffer.clone().oneshot(1));
    settle().await;
    drop(in_flight);
    for queued in queued {
        timeout(LONG, queued).await.unwrap().unwrap();
    }
    timeout(LONG, polled).await.unwrap().unwrap().unwrap();
}

/// With a closed semaphore no task becomes ready, and none spins. The paused clock advances only when no task runs.
#[test]
fn tasks_do_not_spin_on_a_closed_semaphore() {
    for driven in [false, true] {
        let (done, finished) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(async {
                let semaphore = Arc::new(Semaphore::new(1));
                let limit =
                    ConcurrencyLimit::with_semaphore(Leaf::default(), Arc::clone(&semaphore));
                let mut first = limit.clone();
                assert!(poll(&mut first).is_ready());
                let held = first.call(0);
                let _waiters: Vec<_> = (0..3)
                    .map(|_| tokio::spawn(limit.clone().oneshot(1)))
                    .collect();
                settle().await;
                semaphore.close();
                settle().await;
                drop(held);
                settle().await;
                let _buffer = driven.then(|| Buffer::new(limit.clone(), 1));
                settle().await;
                tokio::time::sleep(Duration::from_secs(60)).await;
            });
            let _ = done.send(());
        });
        let rested = finished.recv_timeout(Duration::from_secs(10));
        assert!(
            rested.is_ok(),
            "driven {driven}: the tasks wake each other forever"
        );
    }
}

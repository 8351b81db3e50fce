//! Many threads, a service that is often not ready, cancelled requests, and callers in another runtime: every request that is
//! not cancelled receives its response.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tower_buffer::Buffer;
use tower_service::Service;

/// Not ready at every third poll, when a task wakes it; some responses are ready at the second poll.
struct OftenPending {
    polls: u32,
    calls: Arc<AtomicUsize>,
}

impl Service<u32> for OftenPending {
    type Response = u32;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<u32, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.polls += 1;
        if self.polls.is_multiple_of(3) {
            let waker = cx.waker().clone();
            tokio::spawn(async move { waker.wake() });
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            if request.is_multiple_of(5) {
                tokio::task::yield_now().await;
            }
            Ok(request)
        })
    }
}

const ROUNDS: u32 = if cfg!(miri) { 5 } else { 2_000 };

async fn call(mut buffer: Buffer<u32, <OftenPending as Service<u32>>::Future>, caller: u32) {
    for round in 0..ROUNDS {
        poll_fn(|cx| buffer.poll_ready(cx)).await.unwrap();
        let request = caller * ROUNDS + round;
        let response = buffer.call(request);
        match request % 7 {
            0 => drop(response),
            1 => {
                // Cancels the request after the first poll.
                let mut response = Box::pin(response);
                let _ = poll_fn(|cx| Poll::Ready(response.as_mut().poll(cx).is_ready())).await;
            }
            _ => assert_eq!(response.await.unwrap(), request),
        }
    }
}

fn runtime(threads: usize) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_time()
        .build()
        .unwrap()
}

#[test]
fn every_request_is_answered() {
    let (workers, other) = (runtime(3), runtime(1));
    let calls = Arc::new(AtomicUsize::new(0));
    let service = OftenPending {
        polls: 0,
        calls: Arc::clone(&calls),
    };
    let _guard = workers.enter();
    let buffer = Buffer::new(service, 8);
    let tasks = (0..24).map(|caller| {
        let runtime = if caller % 6 == 5 { &other } else { &workers };
        runtime.spawn(call(buffer.clone(), caller))
    });
    let tasks = tasks.collect::<Vec<_>>();
    workers.block_on(async {
        let all = async {
            for task in tasks {
                task.await.unwrap();
            }
        };
        // A request that is not served would wait forever.
        tokio::time::timeout(Duration::from_secs(120), all)
            .await
            .expect("a request waits forever");
    });
    let answered = (24 * ROUNDS * 5 / 7) as usize - 24;
    assert!(calls.load(Ordering::Relaxed) >= answered);
}

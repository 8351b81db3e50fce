//! A pooled timer works for the next request like a new timer.

use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready_err, task};
use tower_service::Service;
use tower_timeout::alarm::Alarm;
use tower_timeout::{BoxError, Timeout};

const SECOND: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(1);

/// Never responds.
#[derive(Clone)]
struct Silent;

impl Service<()> for Silent {
    type Response = ();
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        Box::pin(pending())
    }
}

type Response = <Timeout<Silent> as Service<()>>::Future;

fn within(seconds: u32) -> task::Spawn<Response> {
    task::spawn(Timeout::new(Silent, SECOND * seconds).call(()))
}

/// Cancels a request before its timeout, so that its timer goes to the pool.
fn cancel_request(seconds: u32) {
    assert_pending!(within(seconds).poll());
}

#[tokio::test(start_paused = true)]
async fn the_next_request_has_its_full_timeout() {
    for seconds in [5, 5, 7, 3, 3, 4, 9, 1, 2] {
        cancel_request(seconds);
        advance(SECOND / 2).await;
        let mut response = within(5);
        assert_pending!(response.poll());
        for _ in 0..10 {
            // It may be woken without need when the timer of the previous request fires.
            assert_pending!(response.poll());
            advance(SECOND / 2 - TICK).await;
        }
        assert_pending!(response.poll());
        advance(TICK * 11).await;
        assert!(response.is_woken());
        assert_ready_err!(response.poll());
    }
}

#[tokio::test(start_paused = true)]
async fn a_pooled_timer_that_has_fired_fires_again() {
    cancel_request(1);
    advance(SECOND * 2).await;
    let mut response = within(1);
    assert_pending!(response.poll());
    assert!(!response.is_woken());
    advance(SECOND + TICK).await;
    assert!(response.is_woken());
    assert_ready_err!(response.poll());
}

#[tokio::test(start_paused = true)]
async fn concurrent_requests_each_end_at_their_timeout() {
    for _ in 0..3 {
        let start = Instant::now();
        let tasks = (1..600_u32).map(|n| {
            tokio::spawn(async move {
                let timeout = TICK * (1 + n * 7919 % 1000);
                let response = Timeout::new(Silent, timeout).call(());
                if n % 3 == 0 {
                    // Cancels the request.
                    let mut response = pin!(response);
                    assert!(
                        poll_fn(|cx| Poll::Ready(response.as_mut().poll(cx).is_pending())).await
                    );
                } else {
                    response.await.unwrap_err();
                    let late = start.elapsed() - timeout;
                    assert!(late <= TICK * 2, "{late:?} late");
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    }
}

#[test]
fn a_timer_is_not_used_in_another_runtime() {
    let (first, second) = (timed_runtime(), timed_runtime());
    for _ in 0..2 {
        for runtime in [&first, &second] {
            runtime.block_on(async {
                cancel_request(1);
                let start = Instant::now();
                Timeout::new(Silent, SECOND).call(()).await.unwrap_err();
                assert!(start.elapsed() >= SECOND);
            });
        }
    }
    drop(first);
    second.block_on(async { Timeout::new(Silent, SECOND).call(()).await.unwrap_err() });
}

#[tokio::test(start_paused = true)]
async fn a_dropped_response_is_not_woken_and_its_waker_is_dropped() {
    struct Task;
    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            panic!("woken");
        }
    }
    let kept = Arc::new(Task);
    let waker = Waker::from(Arc::clone(&kept));
    let mut response = Box::pin(Timeout::new(Silent, SECOND).call(()));
    assert!(
        response
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop((response, waker));
    assert_eq!(Arc::strong_count(&kept), 1);
    advance(SECOND * 2).await;
}

#[tokio::test(start_paused = true)]
async fn the_task_of_the_last_poll_is_woken() {
    let mut response = Box::pin(Timeout::new(Silent, SECOND).call(()));
    let first = task::spawn(()).enter(|cx, _| response.as_mut().poll(cx));
    assert!(first.is_pending());
    let response = tokio::spawn(response);
    advance(SECOND + TICK).await;
    response.await.unwrap().unwrap_err();
}

/// A task that has used up its cooperative budget still sets its timer.
#[tokio::test(start_paused = true)]
async fn a_task_without_budget_is_woken_in_time() {
    let mut response = Box::pin(Timeout::new(Silent, SECOND).call(()));
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    poll_fn(|cx| {
        for _ in 0..1_000 {
            sender.send(()).unwrap();
            if receiver.poll_recv(cx).is_pending() {
                break;
            }
        }
        assert!(!tokio::task::coop::has_budget_remaining());
        assert!(response.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    let start = Instant::now();
    response.await.unwrap_err();
    assert!(start.elapsed() <= SECOND + TICK);
}

fn timed_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

#[test]
fn an_alarm_is_created_and_reset_outside_of_a_runtime() {
    let now = Instant::now();
    let mut alarm = Alarm::new(now);
    alarm.reset(now + SECOND);
    assert_eq!(alarm.deadline(), now + SECOND);
}

#[test]
fn an_alarm_moves_to_the_runtime_that_polls_it() {
    for (first_ends, seconds) in [(false, 5), (false, 1), (true, 5), (true, 1)] {
        let (first, second) = (timed_runtime(), timed_runtime());
        let mut alarm = first.block_on(async {
            let mut alarm = Alarm::new(Instant::now() + SECOND * 3);
            poll_fn(|cx| {
                assert!(alarm.poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            alarm
        });
        if first_ends {
            drop(first);
        }
        second.block_on(async {
            let deadline = Instant::now() + SECOND * seconds;
            alarm.reset(deadline);
            poll_fn(|cx| alarm.poll(cx)).await;
            assert!(Instant::now() >= deadline);
            assert!(Instant::now() <= deadline + TICK * 2);
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_postponed_alarm_fires_at_its_last_deadline_and_at_every_poll_after_it() {
    let start = Instant::now();
    let mut alarm = task::spawn(Alarm::new(start + SECOND));
    for seconds in 1..5 {
        alarm.reset(start + SECOND * (seconds + 1));
        assert_pending!(alarm.enter(|cx, mut alarm| alarm.poll(cx)));
        advance(SECOND).await;
    }
    assert_pending!(alarm.enter(|cx, mut alarm| alarm.poll(cx)));
    advance(SECOND + TICK).await;
    assert!(alarm.is_woken());
    for _ in 0..2 {
        assert!(alarm.enter(|cx, mut alarm| alarm.poll(cx)).is_ready());
    }
    alarm.reset(Instant::now() + SECOND);
    assert_pending!(alarm.enter(|cx, mut alarm| alarm.poll(cx)));
    advance(SECOND + TICK).await;
    assert!(alarm.is_woken());
}

#[tokio::test(start_paused = true)]
async fn an_alarm_with_an_earlier_deadline_fires_earlier() {
    let start = Instant::now();
    let mut alarm = task::spawn(Alarm::new(start + SECOND * 5));
    assert_pending!(alarm.enter(|cx, mut alarm| alarm.poll(cx)));
    alarm.reset(start + SECOND);
    assert_pending!(alarm.enter(|cx, mut alarm| alarm.poll(cx)));
    advance(SECOND + TICK).await;
    assert!(alarm.is_woken());
    assert!(alarm.enter(|cx, mut alarm| alarm.poll(cx)).is_ready());
}

//! Corner cases of the contracts: combinations of retries, bodies, deadlines and budgets.
#![cfg(feature = "http")]
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tokio::time::Instant;
use tower_classify::{Class, Failure, FailureKind, Pushback, Unsent};
use tower_layer::Layer;
use tower_retry::budget::{Budget, TpsBudget};
use tower_retry::http::{HttpRetryLayer, ReplayBody};
use tower_retry::{Retry, RetryPolicy};
use tower_timeout::Deadline;
use tower_timeout::http::ForwardDeadlineLayer;
use tower_util::{BoxError, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);
type Text = Full<Bytes>;

/// The connection of the failed attempt reads on while the retry waits.
#[tokio::test(start_paused = true)]
async fn returns_the_response_if_the_body_exceeds_the_limit_during_the_backoff() {
    let client = service_fn(|request: Request<ReplayBody<_>>| async move {
        let mut body: ReplayBody<Pin<Box<StreamBody<_>>>> = request.into_body();
        // The server reads the first frame and then responds early, as HTTP allows.
        body.frame().await.unwrap()?;
        // hyper's connection task continues to read the body of a request after an early response.
        tokio::spawn(async move { while let Some(Ok(_)) = body.frame().await {} });
        let answer = Response::builder().status(503).header("retry-after", "1");
        Ok::<_, BoxError>(answer.body(Empty::<Bytes>::new()).unwrap())
    });
    let chunks = futures::stream::unfold(0, |n| async move {
        tokio::time::sleep(10 * MS).await;
        (n < 20).then(|| {
            (
                Ok::<_, BoxError>(Frame::data(Bytes::from(vec![n; 10]))),
                n + 1,
            )
        })
    });
    let client =
        HttpRetryLayer::new(RetryPolicy::http().replay_limit(50).attempts(2).build()).layer(client);
    let request = Request::put("/")
        .body(Box::pin(StreamBody::new(chunks)))
        .unwrap();
    let answer = client.oneshot(request).await;
    assert_eq!(answer.expect("a response").status(), 503);
}

#[tokio::test(start_paused = true)]
async fn a_peeked_body_is_not_polled_after_its_end() {
    let client = service_fn(|_: Request<ReplayBody<Text>>| async {
        let frames = futures::stream::unfold((), |()| async {
            None::<(Result<Frame<Bytes>, Infallible>, ())>
        });
        Ok::<_, BoxError>(Response::new(StreamBody::new(Box::pin(frames))))
    });
    let client = HttpRetryLayer::new(RetryPolicy::http().build()).layer(client);
    let request = Request::post("/")
        .header("content-type", "application/grpc")
        .body(Text::default())
        .unwrap();
    let answer = client.oneshot(request).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "");
}

#[tokio::test]
async fn two_clones_of_a_complete_body_do_not_supersede_each_other() {
    let chunks = ["a", "b", "c"].map(|c| Ok::<_, BoxError>(Frame::data(Bytes::from(c))));
    let first = ReplayBody::new(StreamBody::new(futures::stream::iter(chunks)), 100);
    let mut retry = first.try_clone().unwrap();
    let hedge = retry.try_clone().unwrap();
    first.collect().await.unwrap();
    assert!(hedge.is_complete());
    retry.frame().await.unwrap().unwrap();
    assert_eq!(hedge.collect().await.unwrap().to_bytes(), "abc");
    assert_eq!(retry.collect().await.expect("it reads on").to_bytes(), "bc");
}

struct Counted(Arc<AtomicUsize>);
impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &[]
    }
}
impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn empty_frames_are_not_buffered() {
    let alive = Arc::new(AtomicUsize::new(0));
    let a = Arc::clone(&alive);
    let frames = futures::stream::iter((0..1_000_000).map(move |_| {
        a.fetch_add(1, Ordering::SeqCst);
        Ok::<_, BoxError>(Frame::data(Bytes::from_owner(Counted(Arc::clone(&a)))))
    }));
    let mut first = ReplayBody::new(StreamBody::new(frames), 64 * 1024);
    let _copy = first.try_clone().unwrap();
    while let Some(frame) = first.frame().await {
        frame.unwrap();
    }
    assert!(
        alive.load(Ordering::SeqCst) < 70_000,
        "{} empty frames are buffered",
        alive.load(Ordering::SeqCst)
    );
}

#[tokio::test(start_paused = true)]
async fn does_not_retry_if_the_clock_cannot_represent_the_wait() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let a = Arc::clone(&attempts);
    let client = service_fn(move |_: Request<ReplayBody<Text>>| {
        a.fetch_add(1, Ordering::SeqCst);
        async {
            Ok::<_, BoxError>(
                Response::builder()
                    .status(503)
                    .header("retry-after", "99999999999999999999")
                    .body(Text::default())
                    .unwrap(),
            )
        }
    });
    let client = HttpRetryLayer::new(RetryPolicy::http().retry_after_max(Duration::MAX).build())
        .layer(client);
    let start = Instant::now();
    let _ = tokio::time::timeout(
        3600 * 1000 * MS,
        client.oneshot(Request::new(Text::default())),
    )
    .await;
    assert_eq!(
        attempts.load(Ordering::SeqCst),
        1,
        "retried after {:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn does_not_retry_after_an_endless_pushback() {
    let attempts = AtomicUsize::new(0);
    let never =
        Failure::new(FailureKind::Unknown).with_pushback(Some(Pushback::After(Duration::MAX)));
    let policy = RetryPolicy::builder()
        .classify(move |_: Result<&u32, &BoxError>| Class::Failure(never))
        .build();
    let service = service_fn(|_: u32| {
        attempts.fetch_add(1, Ordering::SeqCst);
        async { Err::<u32, _>(BoxError::from("x")) }
    });
    let _ = tokio::time::timeout(3600 * 1000 * MS, Retry::new(policy, service).oneshot(1)).await;
    assert_eq!(attempts.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn upgrades_and_tunnels_without_a_body_are_sent_once() {
    for request in [
        Request::connect("/").body(Text::default()).unwrap(),
        Request::get("/")
            .header("upgrade", "websocket")
            .body(Text::default())
            .unwrap(),
    ] {
        let attempts = Arc::new(AtomicUsize::new(0));
        let a = Arc::clone(&attempts);
        let client = service_fn(move |_: Request<ReplayBody<Text>>| {
            a.fetch_add(1, Ordering::SeqCst);
            async { Err::<Response<Text>, _>(BoxError::from(Unsent::new("refused"))) }
        });
        let method = request.method().clone();
        let _ = HttpRetryLayer::new(RetryPolicy::http().build())
            .layer(client)
            .oneshot(request)
            .await;
        assert_eq!(attempts.load(Ordering::SeqCst), 1, "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_exceeded_deadline_does_not_draw_on_the_budget() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let e = Arc::clone(&events);
    let budget = Arc::new(TpsBudget::new(Duration::from_secs(10), 1, 0.0));
    let client = service_fn(|_: Request<ReplayBody<Text>>| async {
        Ok::<_, BoxError>(Response::new(Text::default()))
    });
    let client = ForwardDeadlineLayer::new().margin(100 * MS).layer(client);
    let policy = RetryPolicy::http()
        .budget(budget.clone())
        .on_attempt(move |a| e.lock().unwrap().push(*a))
        .build();
    let mut request = Request::new(Text::default());
    request
        .extensions_mut()
        .insert(Deadline::after(Instant::now(), 90 * MS));
    let answer = HttpRetryLayer::new(policy)
        .layer(client)
        .oneshot(request)
        .await;
    assert!(answer.is_err());
    assert_eq!(budget.available(), 10, "{:?}", events.lock().unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_response_to_a_request_that_cannot_be_retried_is_not_held_back() {
    let client = service_fn(|request: Request<ReplayBody<Text>>| async {
        request.into_body().collect().await?;
        let never = futures::stream::pending::<Result<Frame<Bytes>, Infallible>>();
        Ok::<_, BoxError>(Response::new(StreamBody::new(never)))
    });
    let client = HttpRetryLayer::new(RetryPolicy::http().replay_limit(3).build()).layer(client);
    let start = Instant::now();
    let request = Request::post("/")
        .header("content-type", "application/grpc")
        .body(Text::from("hello"))
        .unwrap();
    client.oneshot(request).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
}

struct Spy {
    deposits: AtomicUsize,
    withdrawals: AtomicUsize,
}
impl Budget for Spy {
    fn deposit(&self) {
        self.deposits.fetch_add(1, Ordering::SeqCst);
    }
    fn withdraw(&self) -> bool {
        self.withdrawals.fetch_add(1, Ordering::SeqCst);
        false
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_breaks_before_its_first_message_is_not_a_success() {
    let budget = Arc::new(Spy {
        deposits: AtomicUsize::new(0),
        withdrawals: AtomicUsize::new(0),
    });
    let client = service_fn(|_: Request<ReplayBody<Text>>| async {
        let broken = futures::stream::iter([Err::<Frame<Bytes>, _>(io::Error::from(
            io::ErrorKind::ConnectionReset,
        ))]);
        Ok::<_, BoxError>(Response::new(StreamBody::new(broken)))
    });
    let client =
        HttpRetryLayer::new(RetryPolicy::http().budget(budget.clone()).build()).layer(client);
    let request = Request::post("/")
        .header("content-type", "application/grpc")
        .body(Text::default())
        .unwrap();
    let _ = client.oneshot(request).await;
    assert_eq!(
        budget.deposits.load(Ordering::SeqCst),
        0,
        "the broken call counts as a success"
    );
}

#[cfg(feature = "h2")]
#[tokio::test(start_paused = true)]
async fn refused_streams_are_retried_within_the_budget_after_the_first_time() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let a = Arc::clone(&attempts);
    let client = service_fn(move |_: Request<ReplayBody<Text>>| {
        a.fetch_add(1, Ordering::SeqCst);
        async {
            Err::<Response<Text>, _>(BoxError::from(h2::Error::from(h2::Reason::REFUSED_STREAM)))
        }
    });
    let budget = Arc::new(TpsBudget::new(Duration::from_secs(10), 0, 0.2));
    let layer = HttpRetryLayer::new(RetryPolicy::http().attempts(5).budget(budget).build());
    let client = layer.layer(client);
    for _ in 0..100 {
        let _ = client.clone().oneshot(Request::new(Text::default())).await;
    }
    assert!(
        attempts.load(Ordering::SeqCst) <= 200,
        "{} attempts for 100 requests",
        attempts.load(Ordering::SeqCst)
    );
}

/// `HostUnreachable` is what Linux reports on an established connection whose route is lost (`sk_err_soft`, after the
/// retransmissions).
#[tokio::test(start_paused = true)]
async fn a_post_whose_connection_lost_its_route_is_not_sent_twice() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let a = Arc::clone(&attempts);
    let client = service_fn(move |r: Request<ReplayBody<Text>>| {
        a.fetch_add(1, Ordering::SeqCst);
        async {
            r.into_body().collect().await?;
            Err::<Response<Text>, _>(BoxError::from(io::Error::from(
                io::ErrorKind::HostUnreachable,
            )))
        }
    });
    let _ = HttpRetryLayer::new(RetryPolicy::http().build())
        .layer(client)
        .oneshot(Request::post("/").body(Text::from("pay")).unwrap())
        .await;
    assert_eq!(attempts.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_further_attempt_that_waits_for_readiness_times_out_as_well() {
    #[derive(Clone)]
    struct S(Arc<AtomicUsize>);
    impl tower_service::Service<u32> for S {
        type Response = u32;
        type Error = BoxError;
        type Future = std::future::Ready<Result<u32, BoxError>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            if self.0.load(Ordering::SeqCst) > 0 {
                Poll::Pending
            } else {
                Poll::Ready(Ok(()))
            }
        }
        fn call(&mut self, _: u32) -> Self::Future {
            self.0.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Err("x".into()))
        }
    }
    let policy = RetryPolicy::builder().attempt_timeout(100 * MS).build();
    let answer = tokio::time::timeout(
        60_000 * MS,
        Retry::new(policy, S(Arc::default())).oneshot(1),
    )
    .await;
    assert!(answer.is_ok(), "the request hangs");
}

/// Several readers at the same time, on threads.
#[test]
fn readers_on_threads_neither_mix_chunks_nor_hang() {
    for round in 0..300 {
        let chunks: Vec<_> = (0..50_u8)
            .map(|n| Ok::<_, BoxError>(Frame::data(Bytes::from(vec![n; 3]))))
            .collect();
        let expected: Vec<u8> = (0..50_u8).flat_map(|n| [n; 3]).collect();
        let first = ReplayBody::new(StreamBody::new(futures::stream::iter(chunks)), 1000);
        let mut all = vec![first];
        for _ in 0..3 {
            let c = all[0].try_clone().unwrap();
            all.push(c);
        }
        let threads: Vec<_> = all
            .into_iter()
            .enumerate()
            .map(|(i, mut b)| {
                std::thread::spawn(move || {
                    tokio::runtime::Builder::new_current_thread()
                        .build()
                        .unwrap()
                        .block_on(async move {
                            for _ in 0..(round * i) % 97 {
                                std::thread::yield_now();
                            }
                            let mut got = Vec::new();
                            while let Some(f) = b.frame().await {
                                match f {
                                    Ok(f) => got.extend_from_slice(&f.into_data().unwrap()),
                                    Err(_) => return (false, got),
                                }
                            }
                            (true, got)
                        })
                })
            })
            .collect();
        let mut whole = 0;
        for t in threads {
            let (ok, got) = t.join().unwrap();
            assert!(expected.starts_with(&got));
            if ok {
                assert_eq!(got, expected);
                whole += 1;
            }
        }
        assert!(whole >= 1);
    }
}

#[test]
fn waits_double_beyond_32() {
    use tower_retry::backoff::{Jitter, Schedule};
    let waits: Vec<_> =
        Schedule::exponential(Duration::from_micros(1), Duration::from_secs(1_000_000))
            .with_jitter(Jitter::None)
            .waits(tower_util::rng::SplitMix::with_seed(1))
            .take(40)
            .collect();
    for w in waits.windows(2) {
        assert!(w[1] <= w[0] * 2, "{w:?}");
    }
}

/// axum requires layers to be `Clone`, and the closure in the policy need not be.
#[test]
fn a_layer_whose_closure_is_not_clone_is_clone() {
    fn is_clone<T: Clone>(_: &T) {}

    let not_clone = Mutex::new(());
    let classify = move |_: &io::Error| {
        drop(not_clone.lock());
        Class::Ignored
    };
    let layer = HttpRetryLayer::new(RetryPolicy::http().errors(classify).build());
    is_clone(&layer);
    is_clone(&layer.layer(()));
}

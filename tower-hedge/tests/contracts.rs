//! Interactions of hedges, retries, bodies and budgets.
#![cfg(feature = "http")]
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tower_hedge::{BoxError, Hedge, HedgeLayer, Policy};
use tower_layer::Layer;
use tower_retry::budget::{Budget, TpsBudget};
use tower_retry::{Retry, RetryPolicy};
use tower_util::{ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);

struct Spy(AtomicUsize);
impl Budget for Spy {
    fn deposit(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
    fn withdraw(&self) -> bool {
        false
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_deposits_once_into_a_shared_budget() {
    let budget = Arc::new(Spy(AtomicUsize::new(0)));
    let policy = RetryPolicy::builder().budget(budget.clone()).build();
    let hedge = HedgeLayer::builder()
        .when(|_: &u32| true)
        .share_budget(policy.budget().clone())
        .build()
        .unwrap();
    let service = Retry::new(
        policy,
        hedge.layer(service_fn(|n: u32| async move { Ok::<_, BoxError>(n) })),
    );
    service.oneshot(1).await.unwrap();
    assert_eq!(budget.0.load(Ordering::SeqCst), 1);
}

/// The total share of additional requests.
#[tokio::test(start_paused = true)]
async fn retries_and_hedges_with_one_budget_add_at_most_a_fifth() {
    let budget = Arc::new(TpsBudget::new(Duration::from_secs(60), 0, 0.2));
    let calls = Arc::new(AtomicUsize::new(0));
    let c = calls.clone();
    let policy = RetryPolicy::builder().budget(budget).build();
    let hedge = HedgeLayer::builder()
        .when(|_: &u32| true)
        .share_budget(policy.budget().clone())
        .build()
        .unwrap();
    let fails = Arc::new(AtomicUsize::new(0));
    let service = Retry::new(
        policy,
        hedge.layer(service_fn(move |n: u32| {
            c.fetch_add(1, Ordering::SeqCst);
            let ok = fails.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
            async move { if ok { Ok(n) } else { Err(BoxError::from("x")) } }
        })),
    );
    for _ in 0..1000 {
        let _ = service.clone().oneshot(1).await;
    }
    let extra = calls.load(Ordering::SeqCst) - 1000;
    assert!(extra <= 200, "{extra} of 1000");
}

#[derive(Clone)]
struct Always;
impl Policy<u32> for Always {
    fn clone_request(&self, r: &u32) -> Option<u32> {
        Some(*r)
    }
    fn can_retry(&self, _: &u32) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn the_99th_percentile_of_100_is_the_99th() {
    let mut latencies = vec![10; 99];
    latencies.push(60_000);
    let calls = AtomicUsize::new(0);
    let service = service_fn(|n: u32| {
        let first = calls.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            tokio::time::sleep(if first { 3_600_000 * MS } else { MS }).await;
            Ok::<_, BoxError>(n)
        }
    });
    let service = Hedge::new_with_mock_latencies(
        service,
        Always,
        10,
        0.99,
        Duration::from_secs(60),
        &latencies,
    );
    let began = tokio::time::Instant::now();
    service.oneshot(1).await.unwrap();
    assert!(began.elapsed() < 20 * MS, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn previous_attempts_are_counted_across_retries_and_hedges() {
    use http::{Request, Response};
    use http_body_util::Full;
    use tower_hedge::http::{HedgeResponses, HttpPolicy};
    use tower_retry::http::{HttpRetryLayer, ReplayBody};
    type Text = Full<bytes::Bytes>;
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let s = seen.clone();
    let client = service_fn(move |r: Request<ReplayBody<Text>>| {
        let n = {
            let mut s = s.lock().unwrap();
            s.push(
                r.headers()
                    .get("grpc-previous-rpc-attempts")
                    .map(|v| v.to_str().unwrap().to_owned()),
            );
            s.len()
        };
        async move {
            tokio::time::sleep(50 * MS).await;
            let status = if n < 5 { "14" } else { "0" };
            Ok::<_, BoxError>(
                Response::builder()
                    .header("content-type", "application/grpc")
                    .header("grpc-status", status)
                    .body(Text::default())
                    .unwrap(),
            )
        }
    });
    let hedge = HedgeLayer::builder()
        .policy(HttpPolicy::replayed().grpc(true))
        .classify(HedgeResponses::new())
        .delay(10 * MS)
        .budget(Arc::new(TpsBudget::default()))
        .build()
        .unwrap();
    let client = HttpRetryLayer::new(RetryPolicy::http().build()).layer(hedge.layer(client));
    client
        .oneshot(
            Request::post("/")
                .header("content-type", "application/grpc")
                .body(Text::default())
                .unwrap(),
        )
        .await
        .unwrap();
    let seen: Vec<u32> = seen
        .lock()
        .unwrap()
        .iter()
        .map(|v| v.as_deref().unwrap_or("0").parse().unwrap())
        .collect();
    assert!(
        seen.is_sorted() && seen[..2] == [0, 1] && seen[4] >= 2,
        "{seen:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hedge_does_not_take_the_body_of_a_retry() {
    use http::{Method, Request, Response};
    use http_body::Frame;
    use http_body_util::{BodyExt, Full, StreamBody};
    use tower_hedge::http::{HedgeResponses, HttpPolicy};
    use tower_retry::http::{HttpRetryLayer, ReplayBody};
    let calls = AtomicUsize::new(0);
    let client = service_fn(|r: Request<ReplayBody<_>>| {
        let n = calls.fetch_add(1, Ordering::SeqCst);
        async move {
            let mut body: ReplayBody<std::pin::Pin<Box<StreamBody<_>>>> = r.into_body();
            let status = match n {
                0 => {
                    body.collect().await?;
                    503
                }
                1 => {
                    body.frame().await.unwrap()?;
                    tokio::time::sleep(200 * MS).await;
                    body.collect().await?;
                    200
                }
                _ => {
                    body.collect().await?;
                    tokio::time::sleep(50 * MS).await;
                    503
                }
            };
            Ok::<_, BoxError>(
                Response::builder()
                    .status(status)
                    .body(Full::new(bytes::Bytes::new()))
                    .unwrap(),
            )
        }
    });
    let hedge = HedgeLayer::builder()
        .policy(HttpPolicy::replayed().methods([Method::PUT]))
        .classify(HedgeResponses::new())
        .delay(100 * MS)
        .budget(Arc::new(TpsBudget::default()))
        .build()
        .unwrap();
    let client =
        HttpRetryLayer::new(RetryPolicy::http().attempts(2).build()).layer(hedge.layer(client));
    let chunks = ["a", "b", "c"].map(|c| Ok::<_, BoxError>(Frame::data(bytes::Bytes::from(c))));
    let body = Box::pin(StreamBody::new(futures::stream::iter(chunks)));
    let answer = client.oneshot(Request::put("/").body(body).unwrap()).await;
    assert_eq!(answer.expect("one of them is 200").status(), 200);
}

#[tokio::test(start_paused = true)]
async fn the_obvious_policy_for_replayed_bodies_does_not_break_uploads() {
    use http::{Method, Request, Response};
    use http_body::Frame;
    use http_body_util::{BodyExt, Full, StreamBody};
    use tower_hedge::http::HttpPolicy;
    use tower_retry::http::{HttpRetryLayer, ReplayBody};
    let finished = Arc::new(AtomicUsize::new(0));
    let f = finished.clone();
    let client = service_fn(move |r: Request<ReplayBody<_>>| {
        let f = f.clone();
        async move {
            let body: ReplayBody<std::pin::Pin<Box<StreamBody<_>>>> = r.into_body();
            if let Err(e) = body.collect().await {
                f.fetch_add(1, Ordering::SeqCst);
                return Err(e);
            }
            Ok::<_, BoxError>(Response::new(Full::new(bytes::Bytes::new())))
        }
    });
    let hedge = HedgeLayer::builder()
        .policy(HttpPolicy::replayed().methods([Method::PUT]))
        .delay(100 * MS)
        .attempts(5)
        .budget(Arc::new(TpsBudget::default()))
        .build()
        .unwrap();
    let client = HttpRetryLayer::new(RetryPolicy::http().build()).layer(hedge.layer(client));
    let chunks = futures::stream::unfold(0, |n| async move {
        tokio::time::sleep(50 * MS).await;
        (n < 20).then(|| {
            (
                Ok::<_, BoxError>(Frame::data(bytes::Bytes::from("x"))),
                n + 1,
            )
        })
    });
    let answer = client
        .oneshot(
            Request::put("/")
                .body(Box::pin(StreamBody::new(chunks)))
                .unwrap(),
        )
        .await;
    assert!(answer.is_ok());
    assert_eq!(
        finished.load(Ordering::SeqCst),
        0,
        "attempts cut off in mid-upload"
    );
}

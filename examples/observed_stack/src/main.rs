//! A stack under load whose events are on a page for Prometheus: `cargo run -p example-observed-stack`, then
//! `curl http://127.0.0.1:3001/metrics`.

use std::time::Duration;

use axum::{Router, routing::get};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tokio::time::Instant;
use tower::breaker::CircuitBreakerLayer;
use tower::breaker::policy::BreakerPolicy;
use tower::classify::ErrorIsFailure;
use tower::fallback::FallbackLayer;
use tower::fault::{FaultLayer, Plan};
use tower::hedge::HedgeLayer;
use tower::limit::GlobalRateLimitLayer;
use tower::limit::error::LimitExceeded;
use tower::limit::rate::{Rate, TokenBucket};
use tower::middleware::Next;
use tower::observe::EventCounter;
use tower::retry::RetryPolicy;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

const SECOND: Duration = Duration::from_secs(1);

/// Measures what callers see: latencies by result, and the requests in flight.
async fn measured<S>(n: u64, next: Next<S, u64>) -> Result<S::Response, S::Error>
where
    S: Service<u64>,
{
    /// Also counts a request down that is cancelled.
    struct InFlight;

    impl Drop for InFlight {
        fn drop(&mut self) {
            metrics::gauge!("tower_requests_in_flight", "service" => "users").decrement(1);
        }
    }

    metrics::gauge!("tower_requests_in_flight", "service" => "users").increment(1);
    let (_in_flight, start) = (InFlight, Instant::now());
    let result = next.run(n).await;
    let name = if result.is_ok() { "ok" } else { "error" };
    metrics::histogram!("tower_request_duration_seconds", "service" => "users", "result" => name)
        .record(start.elapsed());
    result
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let buckets = [0.001, 0.01, 0.1, 1.0];
    let page = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &buckets)?
        .install_recorder()?;
    let events = EventCounter::new("users");

    let bucket = TokenBucket::new(Rate::new(90, SECOND), 10);
    let refused = |error: &BoxError| error.is::<LimitExceeded>();
    // Of the requests, a third is slow, and a quarter fails.
    let faults = Plan::new()
        .delay(0.3, Duration::from_millis(20)..=Duration::from_millis(200))?
        .fail(0.25)?;
    let users = ServiceBuilder::new()
        .middleware_fn(measured)
        .layer(
            FallbackLayer::value("try again later")
                .when(refused)
                .on_event(events.observer()),
        )
        .layer(
            GlobalRateLimitLayer::token_bucket(bucket)
                .shed()
                .on_event(events.observer()),
        )
        .layer(CircuitBreakerLayer::new(BreakerPolicy::standard()).on_event(events.observer()))
        .retry(
            RetryPolicy::builder()
                .attempts(2)
                .on_attempt(events.observer())
                .classify(ErrorIsFailure)
                .build(),
        )
        .layer(
            HedgeLayer::builder()
                .when(|_: &u64| true)
                .delay(Duration::from_millis(50))
                .on_event(events.observer())
                .build()?,
        )
        .layer(FaultLayer::new(faults).on_event(events.observer()))
        .service_fn(async |_: u64| Ok::<_, BoxError>("a user"));

    // A hundred requests per second, more than the limit allows.
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(SECOND / 100);
        for n in 0.. {
            ticks.tick().await;
            tokio::spawn(users.clone().oneshot(n));
        }
    });

    let router = Router::new().route("/metrics", get(async move || page.render()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3001").await?;
    println!("http://{}/metrics", listener.local_addr()?);
    let interrupted = async { drop(tokio::signal::ctrl_c().await) };
    axum::serve(listener, router)
        .with_graceful_shutdown(interrupted)
        .await?;
    Ok(())
}

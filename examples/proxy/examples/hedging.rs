//! Measures what hedging does for the slowest requests: a proxy in front of four backends, each of which takes 500 ms
//! for 2 % of its requests. Prints a table; the exit code is 1 if the values that the documentation promises do not
//! hold.
//!
//! ```sh
//! cargo run --release -p tower-proxy --example hedging
//! ```

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower::BoxError;
use tower_proxy::config::Config;
use tower_proxy::run::Bound;
use tower_proxy::server::{bind, serve, shutdown_channel};

const CLIENTS: usize = 32;
const TIME: Duration = Duration::from_secs(10);
const SLOW: Duration = Duration::from_millis(500);

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    println!("| | requests | p50, ms | p90, ms | p99, ms | p99.9, ms | extra load |");
    println!("|---|---|---|---|---|---|---|");
    let without = run("no hedging", "").await?;
    let with = run("hedging", HEDGE).await?;
    let kept = with.p99 * 2.0 <= without.p99 && with.extra <= 0.02;
    println!(
        "\np99 {:.0} times lower, {:.2} % more requests: {}",
        without.p99 / with.p99,
        with.extra * 100.0,
        if kept {
            "as documented"
        } else {
            "NOT as documented (at most half, at most 2 %)"
        }
    );
    Ok(if kept {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Since 2 % of the requests are slow, the percentile must be one at which requests are still fast.
const HEDGE: &str = "hedge = { percentile = 0.975, window = \"2s\", max_extra_load = 0.02 }\n";

struct Measurement {
    p99: f64,
    extra: f64,
}

async fn run(name: &str, hedge: &str) -> Result<Measurement, BoxError> {
    let sent = Arc::new(AtomicU64::new(0));
    let mut backends = Vec::new();
    for _ in 0..4 {
        backends.push(backend(Arc::clone(&sent)).await?.to_string());
    }
    let config = format!(
        "listeners = [{{ listen = \"127.0.0.1:0\" }}]\n[[routes]]\ncluster = \"c\"\n{hedge}[clusters.c]\nendpoints = {backends:?}\n"
    );
    let proxy = Bound::bind(Config::parse("example", &config)?).await?;
    let address = proxy.addresses()?[0];
    let (trigger, shutdown) = shutdown_channel();
    let proxy = tokio::spawn(proxy.serve(shutdown));

    // Warm-up, until latencies are recorded.
    let before = measure(address, TIME / 10).await?.len();
    let mut latencies = measure(address, TIME).await?;
    let sent = sent.load(Ordering::Relaxed);
    trigger.trigger();
    proxy.await??;

    latencies.sort_unstable();
    let quantile = |share: f64| {
        let rank = (share * latencies.len() as f64) as usize;
        latencies[rank.min(latencies.len() - 1)].as_secs_f64() * 1e3
    };
    let extra = sent as f64 / (before + latencies.len()) as f64 - 1.0;
    println!(
        "| {name} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.2} % |",
        latencies.len(),
        quantile(0.5),
        quantile(0.9),
        quantile(0.99),
        quantile(0.999),
        extra * 100.0
    );
    Ok(Measurement {
        p99: quantile(0.99),
        extra,
    })
}

async fn backend(sent: Arc<AtomicU64>) -> Result<SocketAddr, BoxError> {
    let listener = bind(([127, 0, 0, 1], 0).into()).await?;
    let address = listener.local_addr()?;
    let handler = move |_request, _client| {
        let slow = sent.fetch_add(1, Ordering::Relaxed) % 50 == 49;
        async move {
            tokio::time::sleep(if slow { SLOW } else { Duration::from_millis(1) }).await;
            Response::new(Empty::<Bytes>::new())
        }
    };
    let (trigger, shutdown) = shutdown_channel();
    tokio::spawn(async move {
        let _until_the_end = trigger;
        serve(listener, handler, shutdown, Duration::ZERO).await;
    });
    Ok(address)
}

/// Returns how long each request took.
async fn measure(address: SocketAddr, time: Duration) -> Result<Vec<Duration>, BoxError> {
    let end = Instant::now() + time;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| tokio::spawn(client(address, end)))
        .collect();
    let mut all = Vec::new();
    for client in clients {
        all.extend(client.await??);
    }
    Ok(all)
}

async fn client(address: SocketAddr, end: Instant) -> Result<Vec<Duration>, BoxError> {
    let io = TokioIo::new(TcpStream::connect(address).await?);
    let (mut client, connection) = http1::handshake(io).await?;
    tokio::spawn(connection);
    let mut latencies = Vec::new();
    while Instant::now() < end {
        let request = Request::get("/")
            .header("host", "example")
            .body(Empty::<Bytes>::new())?;
        let begin = Instant::now();
        client.ready().await?;
        client
            .send_request(request)
            .await?
            .into_body()
            .collect()
            .await?;
        latencies.push(begin.elapsed());
    }
    Ok(latencies)
}

//! `channel-ours MODE TASKS CALLS`: unary echo calls through tonic's `Channel`, client and servers in one process on the
//! loopback device; prints the microseconds of CPU, and those on the wall, that a call took.
//!
//! MODE is `connect`, or `balance`, which is `Channel::balance_list` of four servers. With `connect-floor` and
//! `balance-floor` there is neither a channel nor a layer of tower: tonic's client sends over hyper's connection, or over each of
//! four in turn. Built twice, with our tower and with the registry's: see `side_by_side.py`.

mod floor;

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::PathAndQuery;
use http_body::Body as HttpBody;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::server::{NamedService, UnaryService};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower_service::Service;

/// Before the clock starts, by all tasks together: connections are made, and windows grow.
const WARM_UP: u64 = 2_000;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let [mode, tasks, calls] = arguments[..] else {
        panic!("usage: MODE TASKS CALLS");
    };
    let tasks: u64 = tasks.parse().expect("a number of tasks");
    let calls: u64 = calls.parse().expect("a number of calls");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (cpu, wall) = runtime.block_on(async {
        let servers = match mode {
            "connect" | "connect-floor" => vec![server().await],
            "balance" | "balance-floor" => {
                vec![
                    server().await,
                    server().await,
                    server().await,
                    server().await,
                ]
            }
            _ => panic!("unknown mode"),
        };
        match mode {
            "connect" => measure(servers[0].connect().await.unwrap(), tasks, calls).await,
            "balance" => measure(Channel::balance_list(servers.into_iter()), tasks, calls).await,
            _ => measure(floor::Connections::to(&servers).await, tasks, calls).await,
        }
    });
    let calls = calls.div_ceil(tasks) * tasks;
    let each = |time: Duration| time.as_secs_f64() * 1e6 / calls as f64;
    println!("{:.2} {:.2}", each(cpu), each(wall));
    runtime.shutdown_background();
}

/// What tonic's client sends through.
trait Client:
    GrpcService<
        Body,
        Error: std::fmt::Debug,
        ResponseBody: HttpBody<Data = Bytes, Error: Into<BoxError> + Send> + Send,
    > + Clone
    + Send
    + 'static
{
}

impl<S> Client for S where
    S: GrpcService<
            Body,
            Error: std::fmt::Debug,
            ResponseBody: HttpBody<Data = Bytes, Error: Into<BoxError> + Send> + Send,
        > + Clone
        + Send
        + 'static
{
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The CPU time and the time on the wall of these calls.
async fn measure<S: Client>(service: S, tasks: u64, calls: u64) -> (Duration, Duration)
where
    S::Future: Send,
{
    call(&service, tasks, WARM_UP).await;
    let (cpu, began) = (cpu_time(), Instant::now());
    call(&service, tasks, calls).await;
    (cpu_time() - cpu, began.elapsed())
}

/// Each task makes one call after the other.
async fn call<S: Client>(service: &S, tasks: u64, calls: u64)
where
    S::Future: Send,
{
    let tasks: Vec<_> = (0..tasks)
        .map(|_| {
            let mut grpc = Grpc::new(service.clone());
            let calls = calls.div_ceil(tasks);
            tokio::spawn(async move {
                for n in 0..calls {
                    grpc.ready().await.unwrap();
                    let path = PathAndQuery::from_static("/echo.Echo/Echo");
                    let codec = ProstCodec::<String, String>::default();
                    let request = Request::new(format!("call {n}"));
                    let response = grpc.unary(request, path, codec).await.unwrap();
                    assert_eq!(response.into_inner(), format!("call {n}"));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Starts one.
async fn server() -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(
        Server::builder()
            .add_service(Echo)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    Endpoint::from_shared(format!("http://{address}")).unwrap()
}

#[derive(Clone)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "echo.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::default());
            Ok(grpc.unary(Echo, request).await)
        })
    }
}

impl UnaryService<String> for Echo {
    type Response = String;
    type Future = Ready<Result<Response<String>, Status>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        ready(Ok(Response::new(request.into_inner())))
    }
}

/// What this process has taken, in user mode and in the kernel.
fn cpu_time() -> Duration {
    // SAFETY: all zeros are a valid `rusage`, which the call fills.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

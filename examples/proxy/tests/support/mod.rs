//! What the end-to-end tests share: a proxy, backends, and clients, all on loopback.
#![allow(
    dead_code,
    unreachable_pub,
    missing_debug_implementations,
    reason = "each test file uses a part of it"
)]

pub mod process;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tower::BoxError;
use tower_proxy::config::Config;
use tower_proxy::demo::pb::echo_client::EchoClient;
use tower_proxy::demo::{Backend, Behavior};
use tower_proxy::run::Bound;
use tower_proxy::server::{Shutdown, ShutdownTrigger, serve, shutdown_channel};
use tower_proxy::workers::Workers;

/// The time after which a test counts as hanging.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A running proxy.
pub struct Proxy {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub trigger: ShutdownTrigger,
    pub task: JoinHandle<std::io::Result<()>>,
}

/// Starts a proxy with this configuration, to which a listener and an admin page are added.
pub async fn proxy(config: &str) -> Proxy {
    proxy_with_admin(config, "").await
}

/// Like [`proxy`], with these keys for the admin page.
pub async fn proxy_with_admin(config: &str, admin: &str) -> Proxy {
    let text = format!(
        "{config}\n[admin]\nlisten = \"127.0.0.1:0\"\nallowed_hosts = [\"test.example\"]\n{admin}\
         [[listeners]]\nlisten = \"127.0.0.1:0\"\n"
    );
    let config =
        Config::parse("test.toml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let bound = Bound::bind(config).await.unwrap();
    let (trigger, shutdown) = shutdown_channel();
    Proxy {
        address: bound.addresses().unwrap()[0],
        admin: bound.admin_address().unwrap().unwrap(),
        trigger,
        task: tokio::spawn(async move {
            // Two threads, so that every other connection is on a thread other than the test's.
            let workers = Workers::start(2)?;
            bound.serve_on(workers, shutdown).await
        }),
    }
}

/// Starts a proxy in front of these backends, with all defaults.
pub async fn proxy_to(protocol: &str, backends: &[SocketAddr]) -> Proxy {
    proxy(&format!(
        "[[routes]]\ncluster = \"c\"\n{}",
        cluster("c", protocol, backends)
    ))
    .await
}

/// Returns a cluster's section of a configuration.
pub fn cluster(name: &str, protocol: &str, backends: &[SocketAddr]) -> String {
    let endpoints = backends.iter().map(ToString::to_string).collect::<Vec<_>>();
    format!("[clusters.{name}]\nprotocol = \"{protocol}\"\nendpoints = {endpoints:?}\n")
}

/// Starts one of the demo's backends; it ends with the test.
pub async fn backend(name: &'static str, behavior: Behavior) -> SocketAddr {
    let backend = Backend::new(name, behavior);
    server(move |request| backend.clone().handle(request)).await
}

/// Starts a backend that responds as `handle` does; it ends with the test.
pub async fn server<F, R, B>(handle: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(
        listener,
        move |request, _| handle(request),
        never(),
        Duration::ZERO,
    ));
    address
}

/// A server that responds to a request only when it is let through.
pub struct Gate {
    pub address: SocketAddr,
    entered: Arc<AtomicUsize>,
    permits: Arc<Semaphore>,
}

impl Gate {
    pub async fn start() -> Self {
        let (entered, permits) = (Arc::<AtomicUsize>::default(), Arc::new(Semaphore::new(0)));
        let shared = (Arc::clone(&entered), Arc::clone(&permits));
        let handle = move |_request: Request<Incoming>| {
            let (entered, permits) = shared.clone();
            async move {
                entered.fetch_add(1, Ordering::SeqCst);
                permits.acquire().await.unwrap().forget();
                Response::new(full("done"))
            }
        };
        Self {
            address: server(handle).await,
            entered,
            permits,
        }
    }

    /// Waits until this number of requests has arrived.
    pub async fn entered(&self, requests: usize) {
        eventually("the requests arrived", || async {
            self.entered.load(Ordering::SeqCst) == requests
        })
        .await;
    }

    /// Lets this number of requests through.
    pub fn let_through(&self, requests: usize) {
        self.permits.add_permits(requests);
    }
}

/// Returns a shutdown that is not triggered while the test runs.
fn never() -> Shutdown {
    let (trigger, shutdown) = shutdown_channel();
    std::mem::forget(trigger);
    shutdown
}

/// Returns a loopback address without a listener.
pub async fn unused_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

/// A backend on a separate runtime, which can be killed with all its connections, as by SIGKILL, and started again on
/// the same port.
pub struct RestartableBackend {
    pub address: SocketAddr,
    name: &'static str,
    runtime: Option<tokio::runtime::Runtime>,
}

impl RestartableBackend {
    pub fn start(name: &'static str) -> Self {
        let mut backend = Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            name,
            runtime: None,
        };
        backend.restart();
        backend
    }

    pub fn restart(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let socket = std::net::TcpListener::bind(self.address).unwrap();
        socket.set_nonblocking(true).unwrap();
        self.address = socket.local_addr().unwrap();
        let backend = Backend::new(self.name, Behavior::Steady);
        runtime.spawn(async move {
            let listener = TcpListener::from_std(socket).unwrap();
            serve(
                listener,
                move |request, _| backend.clone().handle(request),
                never(),
                Duration::ZERO,
            )
            .await;
        });
        self.runtime = Some(runtime);
    }

    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A runtime cannot wait for its own shutdown inside another. Once it has shut down, its sockets are closed.
            std::thread::spawn(|| runtime.shutdown_timeout(LIMIT))
                .join()
                .unwrap();
        }
    }
}

impl Drop for RestartableBackend {
    fn drop(&mut self) {
        self.kill();
    }
}

pub type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

pub fn empty() -> RequestBody {
    full(Bytes::new())
}

pub fn full(bytes: impl Into<Bytes>) -> RequestBody {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Opens an HTTP/1.1 client connection.
pub async fn http1_client(address: SocketAddr) -> http1::SendRequest<RequestBody> {
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (client, connection) = http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Opens an HTTP/2 client connection with prior knowledge.
pub async fn http2_client(address: SocketAddr) -> http2::SendRequest<RequestBody> {
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Returns a client of the demo's gRPC service.
pub async fn grpc_client(proxy: &Proxy) -> EchoClient<Channel> {
    let uri = format!("http://{}", proxy.address).parse::<http::Uri>();
    let endpoint = tonic::transport::Endpoint::from(uri.unwrap());
    EchoClient::new(endpoint.connect().await.unwrap())
}

pub fn get(path: &str) -> Request<RequestBody> {
    Request::builder()
        .uri(path)
        .header("host", "test.example")
        .body(empty())
        .unwrap()
}

pub fn post(path: &str, body: RequestBody) -> Request<RequestBody> {
    Request::builder()
        .method("POST")
        .uri(path)
        .header("host", "test.example")
        .body(body)
        .unwrap()
}

/// Sends one request on a new connection and reads the whole response.
pub async fn ask(address: SocketAddr, request: Request<RequestBody>) -> Response<String> {
    let response = http1_client(address)
        .await
        .send_request(request)
        .await
        .unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(head, String::from_utf8_lossy(&body).into_owned())
}

/// Waits until `condition` holds.
pub async fn eventually<F, R>(what: &str, condition: F)
where
    F: Fn() -> R,
    R: Future<Output = bool>,
{
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, wait)
        .await
        .unwrap_or_else(|_| panic!("it never happened: {what}"));
}

/// Waits until each cluster has a ready endpoint.
pub async fn ready(proxy: &Proxy) {
    let admin = proxy.admin;
    eventually("ready", || async move {
        ask(admin, get("/ready")).await.body() == "ready\n"
    })
    .await;
}

/// Waits until these endpoints are ready.
pub async fn ready_endpoints(proxy: &Proxy, endpoints: &[SocketAddr]) {
    for endpoint in endpoints {
        let endpoint = endpoint.to_string();
        eventually("the endpoint is ready", || async {
            metric(proxy, "tower_proxy_endpoint_ready", &[&endpoint]).await == 1.0
        })
        .await;
    }
}

/// Reads one sample of the metrics: the first line that starts with `name` and contains all of `labels`.
pub async fn metric(proxy: &Proxy, name: &str, labels: &[&str]) -> f64 {
    let text = ask(proxy.admin, get("/metrics")).await.into_body();
    let line = text
        .lines()
        .find(|line| line.starts_with(name) && labels.iter().all(|label| line.contains(label)));
    let line = line.unwrap_or_else(|| panic!("no {name} with {labels:?} in\n{text}"));
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

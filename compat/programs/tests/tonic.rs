//! tonic's channels, which contain a buffer and a balancer, with servers that start and stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::channel::Change;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// A gRPC server that counts its requests, in its own runtime: when the runtime shuts down, all connections close.
struct Backend {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    runtime: Option<Runtime>,
}

impl Backend {
    async fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap()).await
    }

    async fn at(address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = requests.clone();
        let (sender, bound) = tokio::sync::oneshot::channel();
        runtime.spawn(async move {
            let listener = TcpListener::bind(address).await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            serve(listener, counter).await;
        });
        Self {
            address: bound.await.unwrap(),
            requests,
            runtime: Some(runtime),
        }
    }

    fn endpoint(&self) -> Endpoint {
        endpoint(self.address)
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    async fn stop(mut self) -> SocketAddr {
        let runtime = self.runtime.take().unwrap();
        let stop = move || runtime.shutdown_timeout(Duration::from_secs(5));
        tokio::task::spawn_blocking(stop).await.unwrap();
        self.address
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(listener: TcpListener, requests: Arc<AtomicUsize>) {
    let (_reporter, health) = tonic_health::server::health_reporter();
    let count = move |request: Request<()>| {
        requests.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Status>(request)
    };
    let layers = tower::ServiceBuilder::new()
        .timeout(Duration::from_secs(5))
        .concurrency_limit(64)
        .layer(tonic::service::InterceptorLayer::new(count));
    Server::builder()
        .layer(layers)
        .add_service(health)
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await
        .unwrap();
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::from_shared(format!("http://{address}")).unwrap()
}

async fn check(channel: &Channel) -> Result<(), Status> {
    let request = HealthCheckRequest::default();
    HealthClient::new(channel.clone())
        .check(request)
        .await
        .map(drop)
}

/// Sends requests until one succeeds.
async fn eventually(channel: &Channel) {
    let answered = async {
        while check(channel).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), answered)
        .await
        .expect("an answer");
}

#[tokio::test]
async fn connect_reconnects_after_the_server_was_down() {
    let backend = Backend::start().await;
    let channel = backend.endpoint().connect().await.unwrap();
    check(&channel).await.unwrap();
    let address = backend.stop().await;
    // With any tower: hyper reports a request canceled that it took just before it saw the connection close.
    let code = check(&channel).await.unwrap_err().code();
    assert!(
        matches!(code, Code::Unavailable | Code::Cancelled),
        "{code:?}"
    );
    let backend = Backend::at(address).await;
    eventually(&channel).await;
    assert!(backend.requests() > 0);
}

#[tokio::test]
async fn connect_fails_without_a_server() {
    let address = Backend::start().await.stop().await;
    endpoint(address).connect().await.unwrap_err();
}

#[tokio::test]
async fn connect_lazy_does_not_wait_for_the_server() {
    let address = Backend::start().await.stop().await;
    let channel = endpoint(address).connect_lazy();
    assert_eq!(check(&channel).await.unwrap_err().code(), Code::Unavailable);
    let _backend = Backend::at(address).await;
    eventually(&channel).await;
}

#[tokio::test]
async fn balance_list_distributes_requests_and_survives_a_crash() {
    let backends = [
        Backend::start().await,
        Backend::start().await,
        Backend::start().await,
    ];
    let channel = Channel::balance_list(backends.iter().map(Backend::endpoint));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..300 {
        let channel = channel.clone();
        clients.spawn(async move { check(&channel).await });
    }
    while let Some(result) = clients.join_next().await {
        result.unwrap().unwrap();
    }
    for backend in &backends {
        assert!(backend.requests() > 30, "{} of 300", backend.requests());
    }
    let [first, second, dead] = backends;
    dead.stop().await;
    // tonic treats an endpoint that cannot be connected to as ready, so some requests fail.
    let mut answered = 0;
    for _ in 0..100 {
        answered += usize::from(check(&channel).await.is_ok());
    }
    assert!(answered > 30, "{answered} of 100");
    drop((first, second));
}

#[tokio::test]
async fn balance_channel_follows_its_endpoints() {
    let (channel, changes) = Channel::balance_channel::<u32>(8);
    // Without endpoints a request waits.
    let early = tokio::spawn({
        let channel = channel.clone();
        async move { check(&channel).await }
    });
    let first = Backend::start().await;
    changes
        .send(Change::Insert(1, first.endpoint()))
        .await
        .unwrap();
    early.await.unwrap().unwrap();
    let second = Backend::start().await;
    changes
        .send(Change::Insert(2, second.endpoint()))
        .await
        .unwrap();
    changes.send(Change::Remove(1)).await.unwrap();
    // When it is removed, the other one serves all requests.
    while second.requests() == 0 {
        check(&channel).await.unwrap();
    }
    let before = first.requests();
    for _ in 0..20 {
        check(&channel).await.unwrap();
    }
    assert_eq!(first.requests(), before);
    // It stops, and starts again at the same address.
    let address = second.stop().await;
    assert!(check(&channel).await.is_err());
    let second = Backend::at(address).await;
    eventually(&channel).await;
    assert!(second.requests() > 0);
}

/// tower#824, grpc-rust#1581: the registry's tower does not poll its endpoints until there is a request.
#[tokio::test]
async fn balance_channel_takes_changes_while_there_are_no_requests() {
    let (channel, changes) = Channel::balance_channel::<u32>(1);
    let backend = Backend::start().await;
    for key in 0..20 {
        changes
            .send(Change::Insert(key, backend.endpoint()))
            .await
            .unwrap();
    }
    check(&channel).await.unwrap();
}

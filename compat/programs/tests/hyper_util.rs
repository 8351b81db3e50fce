//! hyper-util's server with a stack of layers, and its legacy client below another stack.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::retry::Policy;
use tower::{ServiceBuilder, ServiceExt};

/// Fails every third request.
async fn server(requests: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = ServiceBuilder::new()
        .concurrency_limit(16)
        .timeout(Duration::from_secs(5))
        .service_fn(move |request: Request<Incoming>| {
            let fails = requests.fetch_add(1, Ordering::Relaxed) % 3 == 2;
            async move {
                let body = request.into_body().collect().await?.to_bytes();
                let mut response = Response::new(Full::new(body));
                if fails {
                    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                }
                Ok::<_, hyper::Error>(response)
            }
        });
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

/// Retries if the server responds with 503.
#[derive(Clone)]
struct Unavailable;

type Outgoing = Request<Full<Bytes>>;

impl<E> Policy<Outgoing, Response<Incoming>, E> for Unavailable {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut Outgoing,
        result: &mut Result<Response<Incoming>, E>,
    ) -> Option<Self::Future> {
        let unavailable =
            matches!(result, Ok(response) if response.status() == StatusCode::SERVICE_UNAVAILABLE);
        unavailable.then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Outgoing) -> Option<Outgoing> {
        Some(request.clone())
    }
}

#[tokio::test]
async fn a_client_below_layers_talks_to_a_server_above_them() {
    let requests = Arc::new(AtomicUsize::new(0));
    let address = server(requests.clone()).await;
    for http2 in [false, true] {
        let client = Client::builder(TokioExecutor::new())
            .http2_only(http2)
            .build_http();
        let service = ServiceBuilder::new()
            .buffer(32)
            .retry(Unavailable)
            .timeout(Duration::from_secs(5))
            .service(client);
        let mut clients = tokio::task::JoinSet::new();
        for n in 0..60 {
            let service = service.clone();
            clients.spawn(async move {
                let body = Full::new(Bytes::from(format!("request {n}")));
                let request = Request::post(format!("http://{address}/"))
                    .body(body)
                    .unwrap();
                let response = service.oneshot(request).await.unwrap();
                assert_eq!(response.status(), StatusCode::OK);
                let body = response.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(body, format!("request {n}"));
            });
        }
        while let Some(result) = clients.join_next().await {
            result.unwrap();
        }
    }
    assert!(
        requests.load(Ordering::Relaxed) >= 170,
        "each third failed and was sent again"
    );
}

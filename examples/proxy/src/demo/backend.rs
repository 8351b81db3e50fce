use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::transport::headers::is_grpc;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tower::{BoxError, ServiceExt};

use super::grpc::{self, EchoService};

/// The behavior of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behavior {
    /// Responds immediately.
    Steady,
    /// Responds after this time.
    Slow(Duration),
    /// Fails some requests, with 503 or UNAVAILABLE.
    Flaky {
        /// Every `one_in`th request fails; none if 0.
        one_in: u64,
    },
}

impl Behavior {
    /// Returns a description.
    pub fn describe(self) -> String {
        match self {
            Self::Steady => "responds immediately".to_owned(),
            Self::Slow(delay) => format!("responds after {delay:?}"),
            Self::Flaky { one_in } => format!("fails every {one_in}th request"),
        }
    }
}

/// An echo backend, over HTTP/1.1, HTTP/2 and gRPC.
#[derive(Debug, Clone)]
pub struct Backend {
    name: &'static str,
    behavior: Behavior,
    requests: Arc<AtomicU64>,
}

/// The body of a backend's response.
pub(super) type EchoBody = UnsyncBoxBody<Bytes, BoxError>;

impl Backend {
    /// Creates a backend that includes its `name` in each response.
    pub fn new(name: &'static str, behavior: Behavior) -> Self {
        Self {
            name,
            behavior,
            requests: Arc::default(),
        }
    }

    /// Responds to one request: to a gRPC call by the service, to a body by the same body, to anything else by a line
    /// of text.
    pub async fn handle(self, request: Request<Incoming>) -> Response<EchoBody> {
        let grpc = is_grpc(request.headers());
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        match self.behavior {
            Behavior::Flaky { one_in } if one_in > 0 && number.is_multiple_of(one_in) => {
                return self.failure(grpc);
            }
            Behavior::Slow(delay) => tokio::time::sleep(delay).await,
            Behavior::Steady | Behavior::Flaky { .. } => {}
        }
        let mut response = match grpc {
            true => self.grpc(request).await,
            false => self.http(request),
        };
        response
            .headers_mut()
            .insert("x-backend", HeaderValue::from_static(self.name));
        response
    }

    fn http(&self, request: Request<Incoming>) -> Response<EchoBody> {
        let (head, body) = request.into_parts();
        if hyper::body::Body::is_end_stream(&body) {
            return Response::new(text(format!(
                "{} {} answered by {}\n",
                head.method,
                head.uri.path(),
                self.name
            )));
        }
        let mut response = Response::new(body.map_err(BoxError::from).boxed_unsync());
        if let Some(content_type) = head.headers.get(header::CONTENT_TYPE) {
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, content_type.clone());
        }
        response
    }

    async fn grpc(&self, request: Request<Incoming>) -> Response<EchoBody> {
        let service = grpc::pb::echo_server::EchoServer::new(EchoService::new(self.name));
        let Ok(response) = service.oneshot(request).await;
        response.map(|body| body.map_err(BoxError::from).boxed_unsync())
    }

    fn failure(&self, grpc: bool) -> Response<EchoBody> {
        if grpc {
            return tonic::Status::unavailable(format!("{} has a bad moment", self.name))
                .into_http();
        }
        let mut response = Response::new(text(format!("{} has a bad moment\n", self.name)));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response
    }
}

fn text(text: String) -> EchoBody {
    Full::from(text)
        .map_err(|never| match never {})
        .boxed_unsync()
}

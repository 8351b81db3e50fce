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

/// How a backend behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Answers at once.
    Steady,
    /// Answers after this time.
    Slow(Duration),
    /// Fails one in so many requests, with 503 or UNAVAILABLE.
    Flaky {
        /// Every how many-th request fails; never, if 0.
        one_in: u64,
    },
}

impl Mood {
    /// In words.
    pub fn describe(self) -> String {
        match self {
            Self::Steady => "answers at once".to_owned(),
            Self::Slow(delay) => format!("answers after {delay:?}"),
            Self::Flaky { one_in } => format!("fails every {one_in}th request"),
        }
    }
}

/// A backend that echoes, over HTTP/1.1, HTTP/2 and gRPC.
#[derive(Debug, Clone)]
pub struct Backend {
    name: &'static str,
    mood: Mood,
    requests: Arc<AtomicU64>,
}

/// What a backend answers with.
pub(super) type EchoBody = UnsyncBoxBody<Bytes, BoxError>;

impl Backend {
    /// A backend that says its `name` in each answer.
    pub fn new(name: &'static str, mood: Mood) -> Self {
        Self {
            name,
            mood,
            requests: Arc::default(),
        }
    }

    /// Answers one request: a gRPC call by the service, a body by the same body, anything else by a line of text.
    pub async fn handle(self, request: Request<Incoming>) -> Response<EchoBody> {
        let grpc = is_grpc(request.headers());
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        match self.mood {
            Mood::Flaky { one_in } if one_in > 0 && number.is_multiple_of(one_in) => {
                return self.failure(grpc);
            }
            Mood::Slow(delay) => tokio::time::sleep(delay).await,
            Mood::Steady | Mood::Flaky { .. } => {}
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

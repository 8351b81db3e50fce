//! The admin page: is the proxy alive, is it ready, and what is it doing.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;

use crate::metrics::Metrics;
use crate::server::Shutdown;

/// Answers the requests of operators, probes and Prometheus.
#[derive(Debug, Clone)]
pub struct Admin {
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
}

impl Admin {
    /// Shows `metrics`; is not ready any more once `shutdown` is requested.
    pub fn new(metrics: Arc<Metrics>, shutdown: Shutdown) -> Self {
        Self { metrics, shutdown }
    }

    /// Answers one request.
    pub fn handle<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return answer(
                StatusCode::METHOD_NOT_ALLOWED,
                TEXT,
                "the admin page only answers GET\n",
            );
        }
        match request.uri().path() {
            "/" => answer(
                StatusCode::OK,
                "text/html; charset=utf-8",
                include_str!("page.html"),
            ),
            "/live" => answer(StatusCode::OK, TEXT, "live\n"),
            "/ready" => self.ready(),
            "/metrics" => answer(StatusCode::OK, PROMETHEUS, self.metrics.prometheus()),
            "/state" => answer(StatusCode::OK, "application/json", self.state()),
            _ => answer(
                StatusCode::NOT_FOUND,
                TEXT,
                "there is /, /live, /ready, /metrics and /state\n",
            ),
        }
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        if self.shutdown.is_requested() {
            return answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, "draining\n");
        }
        let down = self
            .metrics
            .clusters
            .iter()
            .filter(|cluster| !cluster.is_ready());
        let down: Vec<_> = down.map(|cluster| cluster.name.as_str()).collect();
        match down.as_slice() {
            [] => answer(StatusCode::OK, TEXT, "ready\n"),
            names => {
                let text = format!("no endpoint is ready in: {}\n", names.join(", "));
                answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, text)
            }
        }
    }

    fn state(&self) -> String {
        format!(
            r#"{{"draining":{},"ready":{},"metrics":{}}}"#,
            self.shutdown.is_requested(),
            self.metrics.is_ready(),
            self.metrics.json()
        )
    }
}

fn answer(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

//! The admin page: liveness, readiness, metrics and the state of the proxy.

mod host;
mod readiness;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

pub use self::host::Hosts;
pub use self::readiness::Readiness;
use crate::config;
use crate::front::server::Shutdown;
use crate::metrics::{Metrics, Snapshot};

/// Serves the requests of operators, probes and Prometheus.
#[derive(Debug, Clone)]
pub struct Admin {
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
    readiness: Readiness,
    hosts: Hosts,
}

impl Admin {
    /// Creates a page that shows `metrics`. Readiness fails once `shutdown` is requested.
    pub fn new(config: &config::Admin, metrics: Arc<Metrics>, shutdown: Shutdown) -> Self {
        let readiness = match &config.ready_clusters {
            Some(clusters) => Readiness::Clusters(clusters.clone()),
            None => Readiness::AnyCluster,
        };
        Self {
            metrics,
            shutdown,
            readiness,
            hosts: Hosts::new(config.allowed_hosts.clone()),
        }
    }

    /// Returns the response to a request.
    pub fn handle<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if !self.hosts.admit(request) {
            return answer(
                StatusCode::MISDIRECTED_REQUEST,
                TEXT,
                "the admin page is not served for this host: it accepts IP addresses, localhost, and the names in admin.allowed_hosts\n",
            );
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return answer(
                StatusCode::METHOD_NOT_ALLOWED,
                TEXT,
                "the admin page accepts only GET\n",
            );
        }
        match request.uri().path() {
            "/" => answer(
                StatusCode::OK,
                "text/html; charset=utf-8",
                include_str!("page.html"),
            ),
            "/live" => answer(StatusCode::OK, TEXT, "live\n"),
            "/ready" => match self.ready() {
                Ok(how) => answer(StatusCode::OK, TEXT, how + "\n"),
                Err(why) => answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, why + "\n"),
            },
            "/metrics" => answer(StatusCode::OK, PROMETHEUS, self.metrics.prometheus()),
            "/state" => answer(StatusCode::OK, "application/json", self.state()),
            _ => answer(
                StatusCode::NOT_FOUND,
                TEXT,
                "not found; the admin page serves /, /live, /ready, /metrics and /state\n",
            ),
        }
    }

    /// Returns the readiness status, or as an error why the proxy is not ready.
    fn ready(&self) -> Result<String, String> {
        match self.shutdown.is_requested() {
            true => Err("draining".to_owned()),
            false => self.readiness.judge(&self.metrics),
        }
    }

    fn state(&self) -> String {
        let ready = self.ready();
        let state = State {
            draining: self.shutdown.is_requested(),
            ready: ready.is_ok(),
            status: ready.unwrap_or_else(|why| why),
            metrics: self.metrics.snapshot(),
        };
        serde_json::to_string(&state).expect("all keys are strings")
    }
}

/// The content of `/state`.
#[derive(Debug, Serialize)]
struct State<'a> {
    draining: bool,
    ready: bool,
    /// The body of `/ready`.
    status: String,
    metrics: Snapshot<'a>,
}

fn answer(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, PAGE_ALONE),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The page is a single file that fetches `/state`, and must not be framed by other pages.
const PAGE_ALONE: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                          frame-ancestors 'none'";

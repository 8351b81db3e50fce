//! The way of a request through the proxy: route, forward, answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tower::timeout::http::TimeoutBody;
use tower::{BoxError, Service, ServiceExt};

use crate::body::{BoundedBody, ResponseBody};
use crate::config::{Config, Protocol};
use crate::error::Failure;
use crate::headers;
use crate::metrics::{Metrics, RouteStats};
use crate::router::{Router, authority_of, host_of};
use crate::stack;
use crate::stall::Limits;
use crate::upload::{BodyFailure, ClientBody};

/// A configured proxy without its listeners: it takes requests, and answers every one of them.
#[derive(Debug)]
pub struct Proxy<S> {
    router: Router<Handler<S>>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Handler<S> {
    stack: S,
    protocol: Protocol,
    stats: Arc<RouteStats>,
    upload: UploadLimits,
}

/// How a route takes the bodies of requests.
#[derive(Debug, Clone, Copy)]
struct UploadLimits {
    idle: Option<Duration>,
    total: Option<Duration>,
    /// So much of it is waited for before the request is sent on.
    buffer: usize,
}

/// Builds the stacks of all routes and clusters.
///
/// Must run inside a tokio runtime: each cluster gets a task of its own.
///
/// # Errors
///
/// If a number is out of its range; a checked [`Config`] has none such.
pub fn build(
    config: &Config,
) -> Result<
    Proxy<
        impl Service<
            Request<ClientBody>,
            Response = Response<BoundedBody>,
            Error = BoxError,
            Future: Send,
        >
        + Clone
        + Send
        + Sync
        + 'static
        + use<>,
    >,
    BoxError,
> {
    let routes = config
        .routes
        .iter()
        .map(|route| (route.label(), route.cluster.clone()));
    let clusters = config.clusters.iter().map(|(name, cluster)| {
        (
            name.clone(),
            cluster.endpoints.iter().map(ToString::to_string).collect(),
        )
    });
    let metrics = Arc::new(Metrics::new(routes.collect(), clusters.collect()));

    let endpoints = config.clusters.values().map(|c| c.endpoints.len()).sum();
    let clusters = config.clusters.iter().zip(&metrics.clusters);
    let clusters = clusters.map(|((name, cluster), stats)| {
        let queue = stack::cluster(cluster, stats, endpoints)?;
        Ok::<_, BoxError>((name.as_str(), (queue, cluster.protocol)))
    });
    let clusters = clusters.collect::<Result<std::collections::BTreeMap<_, _>, _>>()?;
    let routes = config
        .routes
        .iter()
        .zip(&metrics.routes)
        .filter_map(|(route, stats)| {
            // A checked configuration has no route to a cluster that it does not define.
            let (cluster, protocol) = clusters.get(route.cluster.as_str())?;
            let stack = stack::route(route, cluster.clone(), stats);
            let handler = stack.map(|stack| Handler {
                stack,
                protocol: *protocol,
                stats: Arc::clone(stats),
                upload: UploadLimits {
                    idle: route.idle_timeout,
                    total: route.body_timeout,
                    buffer: route.limits.request_buffer,
                },
            });
            Some(handler.map(|handler| (route.clone(), handler)))
        });
    let router = Router::new(routes.collect::<Result<_, BoxError>>()?);
    Ok(Proxy { router, metrics })
}

impl UploadLimits {
    /// The request, once its body has begun to come, so that nothing else waits for a client that sends none.
    async fn accept(
        self,
        request: Request<Incoming>,
        grpc: bool,
    ) -> Result<Request<ClientBody>, BodyFailure> {
        let mut request = request.map(|body| {
            let mut body = TimeoutBody::new(body);
            if let Some(idle) = self.idle {
                body = body.idle(idle);
            }
            if let Some(total) = self.total.filter(|_| !body.is_end_stream()) {
                body = body.total(total);
            }
            ClientBody::new(body)
        });
        if !request.body().has_arrived() {
            let limits = Limits {
                idle: self.idle,
                end: request.body().end(),
            };
            request.extensions_mut().insert(limits);
            // In a call of gRPC the server may be the first to speak.
            if !grpc {
                request.body_mut().arrive(self.buffer).await?;
            }
        }
        Ok(request)
    }
}

impl<S> Proxy<S> {
    /// What the proxy counts.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}

impl<S> Proxy<S>
where
    S: Service<Request<ClientBody>, Response = Response<BoundedBody>, Error = BoxError> + Clone,
{
    /// Answers one request of `client`.
    pub async fn handle(
        &self,
        mut request: Request<Incoming>,
        client: SocketAddr,
    ) -> Response<ResponseBody> {
        let grpc = headers::is_grpc(request.headers());
        if request.method() == Method::CONNECT {
            return Failure::Unsupported.response(grpc);
        }
        let Some(handler) = self.router.find(host_of(&request), request.uri().path()) else {
            return Failure::NoRoute.response(grpc);
        };
        let in_flight = handler.stats.begin();
        let authority = authority_of(&request);
        headers::forward(&mut request, authority, handler.protocol, client.ip());

        let request = handler.upload.accept(request, grpc).await;
        let response = match request {
            Ok(request) => handler.stack.clone().oneshot(request).await,
            Err(failure) => Err(failure.into()),
        };
        let response = match response {
            Ok(response) => {
                let mut response = response.map(ResponseBody::upstream);
                headers::strip_hop_by_hop(response.headers_mut());
                response
            }
            Err(error) => {
                let failure = Failure::of(&error);
                tracing::debug!(route = %handler.stats.route, %error, ?failure, "request failed");
                failure.response(grpc)
            }
        };
        in_flight.answered(response.status());
        response.map(|body| body.hold(in_flight))
    }
}

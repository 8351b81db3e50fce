//! The way of a request through the proxy: route, forward, answer.

use std::borrow::Cow;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{Method, Request, Response, Version};
use hyper::body::Incoming;
use tower::{BoxError, Service};

use crate::body::{BoundedBody, ResponseBody};
use crate::config::{Config, Paths, Protocol};
use crate::dialect::Dialect;
use crate::error::Failure;
use crate::handling::{Admitted, Handling, Manner};
use crate::headers;
use crate::hop::Hop;
use crate::metrics::{Metrics, RouteStats};
use crate::router::Router;
use crate::server::Client;
use crate::upload::{UploadBody, UploadLimits};
use crate::{authority, framing, path, stack};

/// A configured proxy without its listeners: it takes requests, and answers every one of them.
#[derive(Debug)]
pub struct Proxy<S> {
    router: Router<Handler<S>>,
    hop: Hop,
    paths: Paths,
    max_head_size: usize,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Handler<S> {
    stack: S,
    protocol: Protocol,
    stats: Arc<RouteStats>,
    upload: UploadLimits,
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
            Request<UploadBody>,
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
    let metrics = Arc::new(Metrics::new(
        routes.collect(),
        clusters.collect(),
        config.longest_timeout(),
    ));

    let endpoints = config.clusters.values().map(|c| c.endpoints.len()).sum();
    let clusters = config.clusters.iter().zip(&metrics.clusters);
    let clusters = clusters.map(|((name, cluster), stats)| {
        let mut cluster = cluster.clone();
        cluster.outlier_detection.cancelled_after = config.cancelled_after(name, &cluster);
        let queue = stack::cluster(&cluster, stats, endpoints, config.heads())?;
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
                    idle: [route.upload_idle_timeout, route.idle_timeout]
                        .into_iter()
                        .flatten()
                        .min(),
                    grpc_idle: route.idle_timeout,
                    total: route.body_timeout,
                    buffer: route.limits.request_buffer_bytes,
                },
            });
            Some(handler.map(|handler| (route.clone(), handler)))
        });
    let router = Router::new(routes.collect::<Result<_, BoxError>>()?);
    Ok(Proxy {
        router,
        hop: Hop::new(config),
        paths: config.paths,
        max_head_size: config.max_header_bytes,
        metrics,
    })
}

impl<S> Proxy<S> {
    /// What the proxy counts.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}

impl<S> Proxy<S>
where
    S: Service<Request<UploadBody>, Response = Response<BoundedBody>, Error = BoxError> + Clone,
{
    /// Answers one request of `client`.
    pub fn handle(&self, request: Request<Incoming>, client: &Client) -> Handling<S> {
        let dialect = Dialect::of(request.headers());
        let is_http2 = request.version() == Version::HTTP_2;
        let manner = Manner {
            dialect,
            is_http2,
            is_head: request.method() == Method::HEAD,
            // Over HTTP/1.1 a client gets trailers only if it asked for them, and gRPC is not spoken.
            has_status: dialect == Dialect::Grpc && is_http2,
            takes_trailers: is_http2 || headers::accepts_trailers(request.headers()),
        };
        let (handler, path) = match self.route(&request) {
            Ok(found) => found,
            Err(failure) => {
                let mut in_flight = self.metrics.unrouted.begin();
                in_flight.failed(failure.reason());
                in_flight.answered(failure.status());
                return Handling::answered(failure.response(dialect), manner, in_flight);
            }
        };
        let mut in_flight = handler.stats.begin();
        let response = match self.admit(handler, path, request, manner, client) {
            Ok(Some(admitted)) => return Handling::of(admitted, manner, in_flight),
            Ok(None) => Response::new(ResponseBody::own("")),
            Err(failure) => {
                in_flight.failed(failure.reason());
                failure.response(dialect)
            }
        };
        in_flight.answered(response.status());
        Handling::answered(response, manner, in_flight)
    }

    /// Makes a request one for the upstream; `None` where the client has it end here.
    fn admit(
        &self,
        handler: &Handler<S>,
        path: Option<PathAndQuery>,
        mut request: Request<Incoming>,
        manner: Manner,
        client: &Client,
    ) -> Result<Option<Admitted<S>>, Failure> {
        if !headers::count_down(&mut request) {
            return match *request.method() {
                Method::OPTIONS => Ok(None),
                _ => Err(Failure::Unsupported),
            };
        }
        self.hop
            .forward(&mut request, path, handler.protocol, client);
        let grpc = manner.dialect == Dialect::Grpc;
        let long = match manner.is_http2 {
            true => request.extensions_mut().remove(),
            false => None,
        };
        let bound = handler
            .upload
            .bound(request, grpc, self.max_head_size, long);
        Ok(Some(Admitted {
            stack: handler.stack.clone(),
            request: bound,
            // In a gRPC call the server may send first.
            buffer: if grpc { 0 } else { handler.upload.buffer },
        }))
    }

    /// Who handles a request, and its target if that is not in its normal form; or why nobody does.
    fn route<B>(
        &self,
        request: &Request<B>,
    ) -> Result<(&Handler<S>, Option<PathAndQuery>), Failure> {
        if request.method() == Method::CONNECT {
            return Err(Failure::Unsupported);
        }
        framing::check_request(request.headers()).map_err(Failure::BadFraming)?;
        // Of HTTP/1, hyper has seen to it.
        if request.version() == Version::HTTP_2
            && headers::size(request.headers()) > self.max_head_size
        {
            return Err(Failure::HeadTooLarge);
        }
        let authority = authority::of(request).map_err(Failure::BadTarget)?;
        if self.hop.has_forwarded(request.headers()) {
            return Err(Failure::Loop);
        }
        let sent = request.uri().path();
        let path = match self.paths {
            Paths::Normalized if sent != "*" => path::normalize(sent)?,
            _ => Cow::Borrowed(sent),
        };
        let host = authority.map(authority::host);
        // RFC 9112, 3.2.4: it is about the server as a whole.
        let matched = if path == "*" { "/" } else { &*path };
        let handler = self.router.find(host, matched).ok_or(Failure::NoRoute)?;
        let target = match path {
            Cow::Borrowed(_) => None,
            Cow::Owned(path) => Some(path::with_query(path, request.uri().query())?),
        };
        Ok((handler, target))
    }
}

//! The way of a request through the proxy: route, forward, answer.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{Method, Request, Response, Version, header};
use hyper::body::Incoming;
use tower::{BoxError, Service, ServiceExt};

use crate::body::{BoundedBody, ClientBody, ResponseBody};
use crate::config::{Config, Paths, Protocol};
use crate::dialect::Dialect;
use crate::error::Failure;
use crate::headers;
use crate::hop::Hop;
use crate::interim::Exchange;
use crate::metrics::{Metrics, RouteStats};
use crate::outcome::OutcomeBody;
use crate::router::Router;
use crate::upload::{Attended, UploadBody, UploadLimits};
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
        cluster.outliers.cancelled_after = config.cancelled_after(name, &cluster);
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
                    buffer: route.limits.request_buffer,
                },
            });
            Some(handler.map(|handler| (route.clone(), handler)))
        });
    let router = Router::new(routes.collect::<Result<_, BoxError>>()?);
    Ok(Proxy {
        router,
        hop: Hop::new(config),
        paths: config.paths,
        max_head_size: config.max_head_size,
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
    pub async fn handle(
        &self,
        request: Request<Incoming>,
        client: SocketAddr,
    ) -> Response<OutcomeBody<ResponseBody>> {
        let dialect = Dialect::of(request.headers());
        let head = request.method() == Method::HEAD;
        // Over HTTP/1.1 a client gets trailers only if it asked for them, and gRPC is not spoken.
        let has_trailers = dialect == Dialect::Grpc && request.version() == Version::HTTP_2;
        let (response, in_flight) = match self.route(&request) {
            Ok((handler, path)) => {
                let mut in_flight = handler.stats.begin();
                let answer = self.forward(handler, path, request, client).await;
                let response = answer.unwrap_or_else(|failure| {
                    in_flight.failed(failure.reason());
                    failure.response(dialect)
                });
                in_flight.answered(response.status());
                (response, in_flight)
            }
            Err(failure) => {
                let mut in_flight = self.metrics.unrouted.begin();
                in_flight.failed(failure.reason());
                in_flight.answered(failure.status());
                (failure.response(dialect), in_flight)
            }
        };
        response.map(|body| {
            let body = match head {
                // Over HTTP/2, hyper would send the body of one of our own.
                true => body.without_own(),
                false => body,
            };
            OutcomeBody::new(body, in_flight, has_trailers)
        })
    }

    /// Forwards a request, or answers it where the client has it end here.
    async fn forward(
        &self,
        handler: &Handler<S>,
        path: Option<PathAndQuery>,
        mut request: Request<Incoming>,
        client: SocketAddr,
    ) -> Result<Response<ResponseBody>, Failure> {
        if !headers::count_down(&mut request) {
            return match *request.method() {
                Method::OPTIONS => Ok(Response::new(ResponseBody::own(""))),
                _ => Err(Failure::Unsupported),
            };
        }
        let grpc = headers::is_grpc(request.headers());
        let takes_trailers =
            request.version() == Version::HTTP_2 || headers::accepts_trailers(request.headers());
        let long = match request.version() {
            Version::HTTP_2 => request.extensions_mut().remove(),
            _ => None,
        };
        let mut request = request.map(|body| ClientBody::new(body, self.max_head_size, long));
        self.hop
            .forward(&mut request, path, handler.protocol, client.ip());

        let exchange = request.extensions().get::<Exchange>().cloned();
        let mut request = handler.upload.bound(request, grpc);
        // Nothing else waits for a client that sends no body. In a call of gRPC the server may be the first to speak.
        let arrived = match grpc {
            true => Ok(()),
            false => request.body_mut().arrive(handler.upload.buffer).await,
        };
        let response = match arrived {
            Ok(()) => {
                let attends = !request.body().has_arrived();
                let answer = handler.stack.clone().oneshot(request);
                let exchange = if attends { exchange.clone() } else { None };
                Attended::new(answer, exchange).await
            }
            Err(failure) => Err(failure.into()),
        };
        if let Some(exchange) = exchange {
            exchange.finish().await;
        }
        let mut response = response
            .map_err(|error| {
                let failure = Failure::of(&error);
                tracing::debug!(route = %handler.stats.route, %error, ?failure, "request failed");
                failure
            })?
            .map(ResponseBody::upstream);
        // That of the proxy: hyper lowers it for a client of HTTP/1.0.
        *response.version_mut() = Version::HTTP_11;
        headers::strip_hop_by_hop(response.headers_mut());
        if !takes_trailers {
            response.headers_mut().remove(header::TRAILER);
        }
        Ok(response)
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

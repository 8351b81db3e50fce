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
use crate::error::Failure;
use crate::headers;
use crate::hop::Hop;
use crate::interim::Interim;
use crate::metrics::{Metrics, RouteStats};
use crate::router::Router;
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

    let clusters = config.clusters.iter().zip(&metrics.clusters);
    let clusters = clusters.map(|((name, cluster), stats)| {
        let queue = stack::cluster(cluster, config.max_head_size, stats)?;
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
    S: Service<Request<ClientBody>, Response = Response<BoundedBody>, Error = BoxError> + Clone,
{
    /// Answers one request of `client`.
    pub async fn handle(
        &self,
        request: Request<Incoming>,
        client: SocketAddr,
    ) -> Response<ResponseBody> {
        let head = request.method() == Method::HEAD;
        let response = self.answer(request, client).await;
        match head {
            // Over HTTP/2, hyper would send the body of one of our own.
            true => response.map(ResponseBody::without_own),
            false => response,
        }
    }

    async fn answer(
        &self,
        mut request: Request<Incoming>,
        client: SocketAddr,
    ) -> Response<ResponseBody> {
        let grpc = headers::is_grpc(request.headers());
        let (handler, path) = match self.route(&request) {
            Ok(found) => found,
            Err(failure) => return failure.response(grpc),
        };
        if !headers::count_down(&mut request) {
            return match *request.method() {
                Method::OPTIONS => Response::new(ResponseBody::own("")),
                _ => Failure::Unsupported.response(grpc),
            };
        }
        let in_flight = handler.stats.begin();
        let takes_trailers =
            request.version() == Version::HTTP_2 || headers::accepts_trailers(request.headers());
        let mut request = request.map(|body| ClientBody::new(body, self.max_head_size));
        self.hop
            .forward(&mut request, path, handler.protocol, client.ip());

        let exchange = request.extensions_mut().remove::<Interim>();
        let exchange = exchange.map(|interim| interim.begin());
        if let Some(exchange) = &exchange {
            request.extensions_mut().insert(exchange.clone());
        }

        let response = match handler.stack.clone().oneshot(request).await {
            Ok(response) => {
                let mut response = response.map(ResponseBody::upstream);
                // That of the proxy: hyper lowers it for a client of HTTP/1.0.
                *response.version_mut() = Version::HTTP_11;
                headers::strip_hop_by_hop(response.headers_mut());
                if !takes_trailers {
                    response.headers_mut().remove(header::TRAILER);
                }
                response
            }
            Err(error) => {
                let failure = Failure::of(&error);
                tracing::debug!(route = %handler.stats.route, %error, ?failure, "request failed");
                failure.response(grpc)
            }
        };
        if let Some(exchange) = exchange {
            exchange.finish().await;
        }
        in_flight.answered(response.status());
        response.map(|body| body.hold(in_flight))
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

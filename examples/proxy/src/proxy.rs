//! The way of a request through the proxy: route, forward, answer.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Method, Request, Response, Version};
use hyper::body::Incoming;
use tower::{BoxError, Service, ServiceExt};

use crate::body::{BoundedBody, ResponseBody};
use crate::config::{Config, Protocol};
use crate::dialect::Dialect;
use crate::error::Failure;
use crate::headers;
use crate::metrics::{Metrics, RouteStats};
use crate::outcome::OutcomeBody;
use crate::router::{Router, authority_of, host_of};
use crate::stack;

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
            Request<Incoming>,
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
    let reasons = Failure::ALL.map(Failure::reason);
    let metrics = Arc::new(Metrics::new(
        routes.collect(),
        clusters.collect(),
        config.longest_timeout(),
        &reasons,
    ));

    let clusters = config.clusters.iter().zip(&metrics.clusters);
    let clusters = clusters.map(|((name, cluster), stats)| {
        let queue = stack::cluster(cluster, stats)?;
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
    Ok(Proxy { router, metrics })
}

impl<S> Proxy<S> {
    /// What the proxy counts.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}

impl<S> Proxy<S>
where
    S: Service<Request<Incoming>, Response = Response<BoundedBody>, Error = BoxError> + Clone,
{
    /// Answers one request of `client`.
    pub async fn handle(
        &self,
        mut request: Request<Incoming>,
        client: SocketAddr,
    ) -> Response<OutcomeBody<ResponseBody>> {
        let dialect = Dialect::of(request.headers());
        // Over HTTP/1.1 a client gets trailers only if it asked for them, and gRPC is not spoken.
        let has_trailers = dialect == Dialect::Grpc && request.version() == Version::HTTP_2;
        let refuse = |failure: Failure| {
            let mut in_flight = self.metrics.unrouted.begin();
            in_flight.failed(failure.reason());
            in_flight.answered(failure.status());
            let response = failure.response(dialect);
            response.map(|body| OutcomeBody::new(body, in_flight, false))
        };
        if request.method() == Method::CONNECT {
            return refuse(Failure::Unsupported);
        }
        let Some(handler) = self.router.find(host_of(&request), request.uri().path()) else {
            return refuse(Failure::NoRoute);
        };
        let mut in_flight = handler.stats.begin();
        let authority = authority_of(&request);
        headers::forward(&mut request, authority, handler.protocol, client.ip());

        let response = match handler.stack.clone().oneshot(request).await {
            Ok(response) => {
                let mut response = response.map(ResponseBody::upstream);
                headers::strip_hop_by_hop(response.headers_mut());
                response
            }
            Err(error) => {
                let failure = Failure::of(&error);
                tracing::debug!(route = %handler.stats.route, %error, ?failure, "request failed");
                in_flight.failed(failure.reason());
                failure.response(dialect)
            }
        };
        in_flight.answered(response.status());
        response.map(|body| OutcomeBody::new(body, in_flight, has_trailers))
    }
}

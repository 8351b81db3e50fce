//! Builds a proxy from its configuration.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use tower::{BoxError, Service};

use crate::config::Config;
use crate::front::headers::hop::Hop;
use crate::front::inbound::Inbound;
use crate::front::router::Router;
use crate::metrics::Metrics;

/// Builds the stacks of all routes and clusters, and their metrics.
///
/// Must be called inside a tokio runtime: each cluster spawns a task.
///
/// # Errors
///
/// If a number is out of its range; a checked [`Config`] has no such number.
pub fn proxy(
    config: &Config,
) -> Result<
    (
        impl Service<
            Box<Inbound>,
            Response = Response<impl Body<Data = Bytes, Error = BoxError> + Send + use<>>,
            Error = Infallible,
            Future: Send,
        >
        + Clone
        + Send
        + Sync
        + 'static
        + use<>,
        Arc<Metrics>,
    ),
    BoxError,
> {
    let metrics = Arc::new(metrics(config));
    let endpoints = config.clusters.values().map(|c| c.endpoints.len()).sum();
    let clusters = config.clusters.iter().zip(&metrics.clusters);
    let clusters = clusters.map(|((name, cluster), stats)| {
        let mut cluster = cluster.clone();
        cluster.outlier_detection.cancelled_after = config.cancelled_after(name, &cluster);
        let queue = super::cluster(&cluster, stats, endpoints, config.heads())?;
        Ok::<_, BoxError>((name.as_str(), (queue, cluster.protocol)))
    });
    let clusters = clusters.collect::<Result<BTreeMap<_, _>, _>>()?;

    let hop = Arc::new(Hop::new(config));
    let routes = config.routes.iter().zip(&metrics.routes);
    let routes = routes.filter_map(|(route, stats)| {
        // A checked configuration has no route to a cluster that it does not define.
        let (cluster, protocol) = clusters.get(route.cluster.as_str())?;
        let stack = super::route(route, Arc::clone(&hop), *protocol, cluster.clone(), stats);
        Some(stack.map(|stack| (route.clone(), stack)))
    });
    let routes = Router::new(routes.collect::<Result<_, BoxError>>()?);
    let unrouted = Arc::clone(&metrics.unrouted);
    Ok((super::front(config, routes, hop, unrouted), metrics))
}

fn metrics(config: &Config) -> Metrics {
    let routes = config.routes.iter();
    let routes = routes.map(|route| (route.label(), route.cluster.clone()));
    let clusters = config.clusters.iter().map(|(name, cluster)| {
        let endpoints = cluster.endpoints.iter().map(ToString::to_string);
        (name.clone(), endpoints.collect())
    });
    Metrics::new(
        routes.collect(),
        clusters.collect(),
        config.longest_timeout(),
    )
}

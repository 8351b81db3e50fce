//! The chains of layers that a request passes, from the client's connection to the endpoint's.
//!
//! Each function is one chain and reads from the outside in: a request passes the lines from the first to the last, its
//! response and its error from the last to the first.

mod build;
pub mod classify;
mod cluster;
pub mod health;
pub mod hedge;
mod limits;
pub mod observe;
pub mod recovery;
pub mod response_timeout;
pub mod retry;
mod route;

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::balance::p2c::Balance;
use tower::buffer::fail_fast::FailFastLayer;
use tower::health::{EjectOutliers, Health};
use tower::load::PendingRequests;
use tower::reconnect::Reconnect;
use tower::retry::http::HttpRetryLayer;
use tower::timeout::http::{AcceptDeadlineLayer, ForwardDeadlineLayer};
use tower::util::MapRequestLayer;
use tower::{BoxError, Service, ServiceBuilder};

pub use self::build::proxy;
pub use self::cluster::Cluster;
use self::cluster::{Measured, backoff, discover, picker};
use self::observe::Observe;
use self::response_timeout::ResponseTimeoutLayer;
use crate::config::{self, Config};
use crate::front::arrive::ArriveLayer;
use crate::front::body::RequestBody;
use crate::front::count::CountLayer;
use crate::front::forward::ForwardLayer;
use crate::front::headers::hop::Hop;
use crate::front::inbound::Inbound;
use crate::front::refused::CountRefusedLayer;
use crate::front::rescue::RescueLayer;
use crate::front::route::Route;
use crate::front::router::Router;
use crate::front::validate::Validate;
use crate::metrics::{ClusterStats, EndpointStats, RouteStats};
use crate::upstream::{Connect, Connector, TrackBody};

/// Returns the chain that every request passes before its route. The chain is always ready.
pub fn front<S, B>(
    config: &Config,
    routes: Router<S>,
    hop: Arc<Hop>,
    unrouted: Arc<RouteStats>,
) -> impl Service<
    Box<Inbound>,
    Response = Response<impl Body<Data = Bytes, Error = BoxError> + Send + use<S, B>>,
    Error = Infallible,
    Future: Send,
>
+ Clone
+ Send
+ Sync
+ 'static
+ use<S, B>
where
    S: Service<Box<Inbound>, Response = Response<B>, Error = BoxError, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    ServiceBuilder::new()
        // Turns every error into a response, in the protocol that the client speaks, so the chain never fails.
        .layer(RescueLayer)
        // Counts the requests that match no route, by the `Refused` of the two lines below.
        .layer(CountRefusedLayer::new(unrouted))
        // Before any decision depends on the request's fields: rejects requests that others could read differently, and
        // normalizes the path, by which routes are matched.
        .filter(Validate::new(config, hop))
        // Last, since everything below differs from route to route.
        .service(Route::new(routes))
}

/// Returns the chain that the requests of one route pass before its cluster.
///
/// # Errors
///
/// If a number of the configuration of hedging or of the limits is out of its range.
pub fn route(
    config: &config::Route,
    hop: Arc<Hop>,
    protocol: config::Protocol,
    cluster: Cluster,
    stats: &Arc<RouteStats>,
) -> Result<
    impl Service<
        Box<Inbound>,
        Response = Response<impl Body<Data = Bytes, Error = BoxError> + Send + 'static + use<>>,
        Error = BoxError,
        Future: Send,
    >
    + Clone
    + Send
    + Sync
    + 'static
    + use<>,
    BoxError,
> {
    let retry = retry::policy(&config.retry, stats);
    let hedge = config.hedge.as_ref();
    let hedge = hedge.map(|hedge| hedge::layer(hedge, retry.budget(), stats));
    let hedge = hedge.transpose()?.map(|hedge| {
        ServiceBuilder::new()
            .map_future(route::boxed)
            .layer(hedge)
            .into_inner()
    });
    let rates = limits::rates(&config.limits)?.map(
        |limits::Rates {
             client,
             in_flight,
             all,
         }| {
            ServiceBuilder::new()
                .map_future(route::boxed)
                // The limits of each client first, so that what these refuse takes no part of the route's rate.
                .option_layer(client)
                .option_layer(in_flight)
                .option_layer(all)
                .into_inner()
        },
    );
    let notes_endpoints = hedge
        .is_some()
        .then(|| MapRequestLayer::new(hedge::note_endpoints));
    Ok(ServiceBuilder::new()
        // Outermost, so that it measures the whole time that the client waits, and counts each request once, however
        // often it is retried.
        .layer(CountLayer::new(Arc::clone(stats)))
        // Before anything is done for the request.
        .option_layer(rates)
        // Before the body is limited and the request copied: what is forwarded is the same in every attempt.
        .layer(ForwardLayer::new(hop, protocol))
        // Before any resource is held: a client that sends its body slowly takes neither a permit nor a connection.
        .layer(ArriveLayer::new(route::uploads(config)))
        // Around the limit: rejects requests for which there is no permit. A queue here would only add latency under
        // overload.
        .load_shed()
        .concurrency_limit(config.limits.max_in_flight)
        // Limits all attempts together, from the end of the request.
        .layer(ResponseTimeoutLayer::new(config.timeout.http))
        // The client's own deadline, for all attempts together as well.
        .layer(
            AcceptDeadlineLayer::new()
                .header(config.timeout_header.clone())
                .grpc_max(config.timeout.grpc),
        )
        // Limits the response that is forwarded, so it is outside of the retry.
        .layer(route::responses(config))
        // Outside of the retry, so that a retry avoids the endpoints of earlier attempts.
        .option_layer(notes_endpoints)
        // Outside of the hedge: an attempt fails only once its hedge has failed too.
        .layer(HttpRetryLayer::new(retry))
        .option_layer(hedge)
        // Innermost, so that each attempt forwards the time that remains when it starts.
        .layer(ForwardDeadlineLayer::new().header(config.timeout_header.clone()))
        .service(cluster))
}

/// Returns the chain that the requests of one cluster pass, from any route, before the endpoint that is picked.
///
/// Spawns the worker of the buffer, which also drives connecting while there are no requests. `endpoints` is the total
/// number of endpoints of all clusters.
///
/// # Errors
///
/// If a number of the outlier detection or of the picker is out of its range.
pub fn cluster(
    config: &config::Cluster,
    stats: &ClusterStats,
    endpoints: usize,
    heads: config::Heads,
) -> Result<Cluster, BoxError> {
    let connector = &Connector::new(config, endpoints, heads);
    let health = Health::new();
    let endpoints = discover(config, connector, stats);
    // Around the endpoints: an ejected endpoint reports not ready, so every picker skips it.
    let endpoints = EjectOutliers::new(
        endpoints,
        health::detector(config),
        classify::endpoint_results(),
    )?
    .with_health(health.clone());
    health::watch(&health, config, stats, endpoints.uneject());
    Ok(ServiceBuilder::new()
        // Shares the balancer among the routes, queues requests while no endpoint is ready, and drives connecting
        // meanwhile.
        .buffer(config.queue_capacity)
        // Below the queue, so that it also fails queued requests once no endpoint has been ready for this long.
        .layer(FailFastLayer::new(config.failfast_timeout))
        .service(
            Balance::builder(endpoints)
                .reject_if(health.rejection())
                .pick(picker(config)?)
                .build()
                .avoid_tried(|request: &Request<RequestBody>| request.extensions().get()),
        ))
}

/// Returns the chain that the attempts at one endpoint pass before its connections.
fn endpoint(
    connector: &Connector,
    address: &config::Endpoint,
    stats: &Arc<EndpointStats>,
) -> Measured {
    // Innermost, so that the balancer keeps its endpoint when connections are lost.
    let last_error = Arc::clone(stats);
    let connect =
        Connect::new(connector.clone()).on_result(move |error| last_error.set_last_error(error));
    let connections = Reconnect::with_backoff(connect, address.clone(), backoff());
    // Reports readiness and results to the metrics.
    let observed = Observe::new(connections, Arc::clone(stats));
    // The load for the picker: the number of requests whose response has not ended.
    PendingRequests::new(observed, TrackBody)
}

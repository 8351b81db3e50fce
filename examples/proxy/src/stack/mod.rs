//! The chains of layers that a request passes, from the client's connection to the endpoint's.
//!
//! Each function is one chain and reads from the outside in: a request passes the lines from the first to the last, its response
//! and its error from the last to the first.

mod build;
mod cluster;
pub mod comeback;
pub mod health;
pub mod hedge;
pub mod observe;
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
use crate::front::body::{ClientBody, RequestBody};
use crate::front::count::CountLayer;
use crate::front::forward::ForwardLayer;
use crate::front::headers::hop::Hop;
use crate::front::refused::CountRefusedLayer;
use crate::front::rescue::RescueLayer;
use crate::front::route::Route;
use crate::front::router::Router;
use crate::front::validate::Validate;
use crate::metrics::{ClusterStats, EndpointStats, RouteStats};
use crate::upstream::{Connect, Connector, TrackBody};

/// What every request passes, up to its route. It is always ready.
pub fn front<S, B>(
    config: &Config,
    routes: Router<S>,
    hop: Arc<Hop>,
    unrouted: Arc<RouteStats>,
) -> impl Service<
    Request<ClientBody>,
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
    S: Service<Request<ClientBody>, Response = Response<B>, Error = BoxError, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    ServiceBuilder::new()
        // The client gets an answer to every error, in the protocol that it speaks: none passes this line.
        .layer(RescueLayer)
        // Counts the requests that come to no route, by the `Refused` of the two lines below.
        .layer(CountRefusedLayer::new(unrouted))
        // Before anything is decided by the request's fields: reject what others could read in another way, and give the path
        // the form that routes are matched by.
        .filter(Validate::new(config, hop))
        // Last, since all below differs from route to route.
        .service(Route::new(routes))
}

/// What the requests of one route pass, down to its cluster.
///
/// # Errors
///
/// If a number of the hedges is out of its range.
pub fn route(
    config: &config::Route,
    hop: Arc<Hop>,
    protocol: config::Protocol,
    cluster: Cluster,
    stats: &Arc<RouteStats>,
) -> Result<
    impl Service<
        Request<ClientBody>,
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
    let notes_endpoints = hedge
        .is_some()
        .then(|| MapRequestLayer::new(hedge::note_endpoints));
    Ok(ServiceBuilder::new()
        // Outermost, so that it counts all the time that the client waits, and each request once however often it is tried.
        .layer(CountLayer::new(Arc::clone(stats)))
        // Before the body is bound and the request copied: what it forwards is the same in every attempt.
        .layer(ForwardLayer::new(hop, protocol))
        // Before anything is held for the request: a client that sends its body slowly takes no permit, nor a connection.
        .layer(ArriveLayer::new(route::uploads(config)))
        // Around the limit: reject what it has no permit for. A queue here would only add latency to an overload.
        .load_shed()
        .concurrency_limit(config.limits.max_in_flight)
        // The time of all attempts together, from the end of the request.
        .layer(ResponseTimeoutLayer::new(config.timeout.http))
        // The client's own deadline, for all attempts together as well.
        .layer(
            AcceptDeadlineLayer::new()
                .header(config.timeout_header.clone())
                .grpc_max(config.timeout.grpc),
        )
        // Of the response that is passed on, so outside of the retry.
        .layer(route::responses(config))
        // Outside of the retry, so that a retry avoids the endpoints of the attempts before it.
        .option_layer(notes_endpoints)
        // Outside of the hedge: an attempt fails only once its hedge has failed too.
        .layer(HttpRetryLayer::new(retry))
        .option_layer(hedge)
        // Innermost, so that each attempt tells its endpoint the time that is left then.
        .layer(ForwardDeadlineLayer::new().header(config.timeout_header.clone()))
        .service(cluster))
}

/// What the requests of one cluster pass, whatever their route, down to the endpoint that is picked.
///
/// Spawns the worker of the buffer, which also drives connecting while there is no traffic. `endpoints` is how many all
/// clusters have together.
///
/// # Errors
///
/// If a number of the outlier detection, or of the picker, is out of its range.
pub fn cluster(
    config: &config::Cluster,
    stats: &ClusterStats,
    endpoints: usize,
    heads: config::Heads,
) -> Result<Cluster, BoxError> {
    let connector = &Connector::new(config, endpoints, heads);
    let health = Health::new();
    let endpoints = discover(config, connector, stats);
    // Around the endpoints, so that an ejected one reports not ready and every picker skips it.
    let endpoints = EjectOutliers::new(endpoints, health::detector(config), health::classify())?
        .with_health(health.clone());
    health::watch(&health, config, stats, endpoints.uneject());
    Ok(ServiceBuilder::new()
        // Shares the balancer among the routes, holds requests while no endpoint is ready, and drives connecting meanwhile.
        .buffer(config.queue_capacity)
        // Below the queue, so that it also fails the requests in it once no endpoint has been ready for this long.
        .layer(FailFastLayer::new(config.failfast_timeout))
        .service(
            Balance::builder(endpoints)
                .reject_if(health.rejection())
                .pick(picker(config)?)
                .build()
                .avoid_tried(|request: &Request<RequestBody>| request.extensions().get()),
        ))
}

/// What the attempts at one endpoint pass, down to its connections.
fn endpoint(
    connector: &Connector,
    address: &config::Endpoint,
    stats: &Arc<EndpointStats>,
) -> Measured {
    // Innermost, so that the endpoint stays the same for the balancer when its connections are lost.
    let last_error = Arc::clone(stats);
    let connect =
        Connect::new(connector.clone()).on_result(move |error| last_error.set_last_error(error));
    let connections = Reconnect::with_backoff(connect, address.clone(), backoff());
    // Whether it is connected, and what it answers.
    let observed = Observe::new(connections, Arc::clone(stats));
    // Its load for the picker: the requests whose response has not ended.
    PendingRequests::new(observed, TrackBody)
}

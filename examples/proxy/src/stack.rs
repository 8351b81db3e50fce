//! The stacks of layers that a request passes through: everything between routing and the wire.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tower::balance::p2c::Balance;
use tower::buffer::Buffer;
use tower::buffer::fail_fast::FailFastLayer;
use tower::discover::ServiceList;
use tower::hedge::InvalidHedge;
use tower::load::PendingRequests;
use tower::reconnect::Reconnect;
use tower::retry::backoff::ExponentialBackoffMaker;
use tower::retry::http::HttpRetryLayer;
use tower::timeout::http::{AcceptDeadlineLayer, BodyTimeoutLayer, ForwardDeadlineLayer};
use tower::util::MapRequestLayer;
use tower::util::rng::HasherRng;
use tower::{BoxError, Service, ServiceBuilder};

use crate::body::{BoundedBody, RequestBody};
use crate::config;
use crate::hedge;
use crate::metrics::{ClusterStats, EndpointStats, RouteStats};
use crate::retry;
use crate::upstream::{Connect, Observe, TrackBody};

/// A cluster's queue, shared by the routes that lead to it.
pub type Cluster =
    Buffer<Request<RequestBody>, <Endpoints as Service<Request<RequestBody>>>::Future>;

/// The stack of a route, above its cluster: from the outside in, refuse what is too much, bound the time of what is
/// let in, try again what may be, do not wait for what is slow, and tell each upstream how much time is left.
///
/// # Errors
///
/// If a number of the hedges is out of its range.
pub fn route(
    config: &config::Route,
    cluster: Cluster,
    stats: &RouteStats,
) -> Result<
    impl Service<Request<Incoming>, Response = Response<BoundedBody>, Error = BoxError, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
    + use<>,
    InvalidHedge,
> {
    let mut deadline = AcceptDeadlineLayer::new().header(config.timeout_header.clone());
    if let Some(timeout) = config.timeout {
        deadline = deadline.max(timeout);
    }
    let retry = retry::policy(&config.retry, stats);
    let hedge = config.hedge.as_ref();
    let hedge = hedge.map(|hedge| hedge::layer(hedge, retry.budget(), stats));
    let hedge = hedge.transpose()?;
    Ok(ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(config.limits.concurrency)
        .layer(deadline)
        .layer(bodies(config))
        .option_layer(
            hedge
                .is_some()
                .then(|| MapRequestLayer::new(hedge::note_endpoints)),
        )
        .layer(HttpRetryLayer::new(retry))
        .option_layer(hedge)
        .layer(ForwardDeadlineLayer::new().header(config.timeout_header.clone()))
        .service(cluster))
}

/// The same bounds for both directions.
fn bodies(config: &config::Route) -> BodyTimeoutLayer {
    let mut bodies = BodyTimeoutLayer::new().grpc_deadline();
    if let Some(idle) = config.idle_timeout {
        bodies = bodies.request_idle(idle).response_idle(idle);
    }
    if let Some(total) = config.body_timeout {
        bodies = bodies.request_total(total).response_total(total);
    }
    bodies
}

/// The stack of a cluster, below its routes: queue while no endpoint is ready, but not for long; balance over the
/// endpoints that are, by the requests they have in flight; connect each of them again by itself when it is lost.
///
/// Spawns the queue's worker, which also drives connecting while there is no traffic.
pub fn cluster(config: &config::Cluster, stats: &ClusterStats) -> Cluster {
    let endpoints = config.endpoints.iter().zip(&stats.endpoints);
    let endpoints = endpoints
        .map(|(address, stats)| endpoint(config, address, stats))
        .collect::<Vec<_>>();
    ServiceBuilder::new()
        .buffer(config.buffer)
        .layer(FailFastLayer::new(config.unavailable_timeout))
        .service(
            Balance::new(ServiceList::new::<Request<RequestBody>>(endpoints))
                .avoid_tried(|request| request.extensions().get()),
        )
}

fn endpoint(
    config: &config::Cluster,
    address: &config::Endpoint,
    stats: &Arc<EndpointStats>,
) -> Endpoint {
    let connect = Connect::new(config.protocol, config.connect_timeout);
    let reconnect = Reconnect::with_backoff(connect, address.clone(), backoff());
    PendingRequests::new(Observe::new(reconnect, Arc::clone(stats)), TrackBody)
}

/// How long an endpoint waits before it is tried again: so short that one which comes back is soon of use, and so long
/// that one which stays away costs nothing.
fn backoff() -> ExponentialBackoffMaker {
    let (min, max) = (Duration::from_millis(50), Duration::from_secs(2));
    ExponentialBackoffMaker::new(min, max, 0.5, HasherRng::new())
        .expect("the bounds are the right way round")
}

type Endpoint = PendingRequests<Observe<Reconnect<Connect, config::Endpoint>>, TrackBody>;
type Endpoints =
    tower::buffer::fail_fast::FailFast<Balance<ServiceList<Vec<Endpoint>>, Request<RequestBody>>>;

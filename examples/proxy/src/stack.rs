//! The stacks of layers that a request passes through: everything between routing and the wire.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use tower::balance::p2c::Balance;
use tower::buffer::Buffer;
use tower::buffer::fail_fast::FailFastLayer;
use tower::discover::ServiceList;
use tower::load::PendingRequests;
use tower::reconnect::Reconnect;
use tower::retry::backoff::{ExponentialBackoffMaker, InvalidBackoff};
use tower::timeout::TimeoutLayer;
use tower::util::rng::HasherRng;
use tower::{BoxError, Service, ServiceBuilder};

use crate::body::RequestBody;
use crate::config;
use crate::metrics::{ClusterStats, EndpointStats, RouteStats};
use crate::retry::RetryPolicy;
use crate::upstream::{Connect, Observe, TrackBody, UpstreamBody};

/// A cluster's queue, shared by the routes that lead to it.
pub type Cluster =
    Buffer<Request<RequestBody>, <Endpoints as Service<Request<RequestBody>>>::Future>;

/// The stack of a route, above its cluster: from the outside in, refuse what is too much, bound the time of what is
/// let in, and try again what may be.
///
/// # Errors
///
/// If the backoff's bounds are the wrong way round.
pub fn route(
    config: &config::Route,
    cluster: Cluster,
    stats: &RouteStats,
) -> Result<
    impl Service<
        Request<RequestBody>,
        Response = Response<UpstreamBody>,
        Error = BoxError,
        Future: Send,
    >
    + Clone
    + Send
    + Sync
    + 'static
    + use<>,
    InvalidBackoff,
> {
    Ok(ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(config.limits.concurrency)
        .option_layer(config.timeout.map(TimeoutLayer::new))
        .retry(RetryPolicy::new(&config.retry, stats.retries.clone())?)
        .service(cluster))
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
        .service(Balance::new(ServiceList::new::<Request<RequestBody>>(
            endpoints,
        )))
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

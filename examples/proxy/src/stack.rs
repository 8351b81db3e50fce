//! The stacks of layers that a request passes through: everything between routing and the wire.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use http::{Request, Response};
use tower::balance::http as http_key;
use tower::balance::p2c::Balance;
use tower::balance::picker::{
    AnyPicker, LeastLoaded, MaglevHash, P2c, Random, RingHash, WeightedRoundRobin,
};
use tower::balance::policy::InvalidPolicy;
use tower::buffer::Buffer;
use tower::buffer::fail_fast::{FailFast, FailFastLayer};
use tower::discover::Change;
use tower::health::{EjectOutliers, Health};
use tower::load::{PendingRequests, Weighted};
use tower::reconnect::Reconnect;
use tower::retry::backoff::ExponentialBackoffMaker;
use tower::retry::http::HttpRetryLayer;
use tower::timeout::http::{AcceptDeadlineLayer, BodyTimeoutLayer, ForwardDeadlineLayer};
use tower::util::MapRequestLayer;
use tower::util::rng::HasherRng;
use tower::{BoxError, Service, ServiceBuilder};

use crate::body::{BoundedBody, RequestBody};
use crate::config::{self, Balancer, HashKey};
use crate::hedge;
use crate::metrics::{ClusterStats, EndpointStats, RouteStats};
use crate::upload::{ResponseTimeoutLayer, UploadBody};
use crate::upstream::{Connect, Observe, TrackBody};
use crate::{outliers, retry};

/// A cluster's queue, shared by the routes that lead to it.
pub type Cluster = Buffer<Request<RequestBody>, Answer>;

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
    impl Service<Request<UploadBody>, Response = Response<BoundedBody>, Error = BoxError, Future: Send>
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
    // In a box, since the future of a layer that is off has its room in those above as well.
    let hedge = hedge.transpose()?.map(|hedge| {
        ServiceBuilder::new()
            .map_future(|future| -> Pin<Box<dyn Future<Output = _> + Send>> { Box::pin(future) })
            .layer(hedge)
            .into_inner()
    });
    Ok(ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(config.limits.concurrency)
        .layer(ResponseTimeoutLayer::new(config.timeout.http))
        .layer(
            AcceptDeadlineLayer::new()
                .header(config.timeout_header.clone())
                .grpc_max(config.timeout.grpc),
        )
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

/// The bounds of responses; those of requests count from their arrival, and are set there.
fn bodies(config: &config::Route) -> BodyTimeoutLayer {
    let mut bodies = BodyTimeoutLayer::new().grpc_deadline();
    if let Some(idle) = config.idle_timeout {
        bodies = bodies.response_idle(idle);
    }
    if let Some(total) = config.body_timeout {
        bodies = bodies.response_total(total);
    }
    bodies
}

/// The stack of a cluster, below its routes: queue while no endpoint is ready, but not for long; balance over the
/// endpoints that are; connect each of them again by itself when it is lost.
///
/// Spawns the queue's worker, which also drives connecting while there is no traffic. `endpoints` is how many all
/// clusters have together.
///
/// # Errors
///
/// If a number of the outlier detection is out of its range.
pub fn cluster(
    config: &config::Cluster,
    stats: &ClusterStats,
    endpoints: usize,
    heads: config::Heads,
) -> Result<Cluster, BoxError> {
    let connect = &Connect::new(config, endpoints, heads);
    let weights = config.weights.iter().copied().chain(std::iter::repeat(1));
    let endpoints = config.endpoints.iter().zip(&stats.endpoints).zip(weights);
    // By address: so proxies with the same configuration map a key to the same endpoint.
    let endpoints = endpoints.map(|((address, stats), weight)| {
        let endpoint = Weighted::new(endpoint(connect, address, stats), weight);
        Ok::<_, Infallible>(Change::Insert(address.to_string(), endpoint))
    });
    let discover = stream::iter(endpoints.collect::<Vec<_>>());
    let health = Health::new();
    let detector = outliers::detector(config);
    let classify = outliers::classify as outliers::Classify;
    let discover = EjectOutliers::new(discover, detector, classify)?.with_health(health.clone());
    outliers::watch(&health, config, stats, discover.uneject());
    let balance = Balance::builder(discover)
        .reject_if(health.rejection())
        .pick(picker(config)?)
        .build()
        .avoid_tried(|request: &Request<RequestBody>| request.extensions().get());
    Ok(ServiceBuilder::new()
        .buffer(config.buffer)
        .layer(FailFastLayer::new(config.unavailable_timeout))
        .service(balance))
}

/// The picker of a cluster.
fn picker(config: &config::Cluster) -> Result<Picker, InvalidPolicy> {
    Ok(match config.balancer {
        // Where all weights are alike, it is not looked at them.
        Balancer::P2c if config.weights.windows(2).all(|two| two[0] == two[1]) => P2c::new().into(),
        Balancer::P2c => LeastLoaded::new().into(),
        Balancer::RoundRobin => WeightedRoundRobin::new().into(),
        Balancer::Random => Random::new().into(),
        Balancer::RingHash => {
            // Enough points for shares that are right to some percent, without a ring that is all memory.
            let greatest = config.weights.iter().copied().max().unwrap_or(1).max(1);
            let points = (1600 / greatest as usize).clamp(1, 160);
            RingHash::by(key(&config.hash))
                .points_per_weight(points)?
                .into()
        }
        Balancer::Maglev => MaglevHash::by(key(&config.hash)).into(),
    })
}

/// What a request is hashed by.
fn key(by: &HashKey) -> Key {
    match by {
        HashKey::Header(name) => Box::new(http_key::header(name.clone())),
        HashKey::Cookie(name) => Box::new(http_key::cookie(name.clone())),
        HashKey::Path => Box::new(http_key::path()),
    }
}

fn endpoint(connect: &Connect, address: &config::Endpoint, stats: &Arc<EndpointStats>) -> Measured {
    let reconnect = Reconnect::with_backoff(
        connect.clone().tell(Arc::clone(stats)),
        address.clone(),
        backoff(),
    );
    PendingRequests::new(Observe::new(reconnect, Arc::clone(stats)), TrackBody)
}

/// How long an endpoint waits before it is tried again: so short that one which comes back is soon of use, and so long
/// that one which stays away costs nothing.
fn backoff() -> ExponentialBackoffMaker {
    let (min, max) = (Duration::from_millis(50), Duration::from_secs(2));
    ExponentialBackoffMaker::new(min, max, 0.5, HasherRng::new())
        .expect("the bounds are the right way round")
}

type Measured = PendingRequests<Observe<Reconnect<Connect, config::Endpoint>>, TrackBody>;
type Endpoint = Weighted<Measured>;
type Found = stream::Iter<std::vec::IntoIter<Result<Change<String, Endpoint>, Infallible>>>;
type Key = Box<dyn Fn(&Request<RequestBody>) -> Option<u64> + Send>;
type Picker = AnyPicker<Key>;
/// What a request becomes: the same with each picker.
type Answer = <FailFast<
    Balance<EjectOutliers<Found, outliers::Classify>, Request<RequestBody>>,
> as Service<Request<RequestBody>>>::Future;

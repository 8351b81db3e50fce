//! The parts of a cluster's stack: its picker, its endpoints, and their types.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::stream;
use http::Request;
use tower::Service;
use tower::balance::http as http_key;
use tower::balance::p2c::Balance;
use tower::balance::picker::{
    AnyPicker, LeastLoaded, MaglevHash, P2c, Random, RingHash, WeightedRoundRobin,
};
use tower::balance::policy::InvalidPolicy;
use tower::buffer::Buffer;
use tower::buffer::fail_fast::FailFast;
use tower::discover::Change;
use tower::health::EjectOutliers;
use tower::load::{PendingRequests, Weighted};
use tower::reconnect::Reconnect;
use tower::retry::backoff::ExponentialBackoffMaker;
use tower::util::rng::HasherRng;

use super::classify::EndpointResults;
use super::observe::Observe;
use crate::config::{self, Balancer, HashKey};
use crate::front::body::RequestBody;
use crate::metrics::ClusterStats;
use crate::upstream::{Connect, Connector, TrackBody};

/// The queue of a cluster, shared by the routes to it.
pub type Cluster = Buffer<Request<RequestBody>, Answer>;

/// Creates the picker of a cluster.
///
/// # Errors
///
/// If a number of the hash ring is out of its range.
pub(super) fn picker(config: &config::Cluster) -> Result<Picker, InvalidPolicy> {
    Ok(match config.lb_policy {
        // If all weights are equal, they have no effect.
        Balancer::P2c if config.weights.windows(2).all(|two| two[0] == two[1]) => P2c::new().into(),
        Balancer::P2c => LeastLoaded::new().into(),
        Balancer::RoundRobin => WeightedRoundRobin::new().into(),
        Balancer::Random => Random::new().into(),
        Balancer::RingHash => {
            // Enough points for shares accurate to a few percent, without a ring that wastes memory.
            let greatest = config.weights.iter().copied().max().unwrap_or(1).max(1);
            let points = (1600 / greatest as usize).clamp(1, 160);
            let ring = RingHash::by(key(&config.hash_policy));
            ring.points_per_weight(points)?.into()
        }
        Balancer::Maglev => MaglevHash::by(key(&config.hash_policy)).into(),
    })
}

/// Returns the endpoints of a cluster, as the balancer discovers them.
pub(super) fn discover(
    config: &config::Cluster,
    connector: &Connector,
    stats: &ClusterStats,
) -> Found {
    let weights = config.weights.iter().copied().chain(std::iter::repeat(1));
    let endpoints = config.endpoints.iter().zip(&stats.endpoints).zip(weights);
    // Keyed by address, so that proxies with the same configuration map a hash key to the same endpoint.
    let endpoints = endpoints.map(|((address, stats), weight)| {
        let endpoint = Weighted::new(super::endpoint(connector, address, stats), weight);
        Ok::<_, Infallible>(Change::Insert(address.to_string(), endpoint))
    });
    stream::iter(endpoints.collect::<Vec<_>>())
}

/// Returns the function that hashes a request.
fn key(by: &HashKey) -> Key {
    match by {
        HashKey::Header(name) => Box::new(http_key::header(name.clone())),
        HashKey::Cookie(name) => Box::new(http_key::cookie(name.clone())),
        HashKey::Path => Box::new(http_key::path()),
    }
}

/// Returns the backoff between attempts to connect to an endpoint: short enough that an endpoint is used soon after it
/// is up again, and long enough that one that stays down costs next to nothing.
pub(super) fn backoff() -> ExponentialBackoffMaker {
    let (min, max) = (Duration::from_millis(50), Duration::from_secs(2));
    ExponentialBackoffMaker::new(min, max, 0.5, HasherRng::new())
        .expect("the minimum is at most the maximum")
}

pub(super) type Measured =
    PendingRequests<Observe<Reconnect<Connect<RequestBody>, config::Endpoint>>, TrackBody>;
type Endpoint = Weighted<Measured>;
type Found = stream::Iter<std::vec::IntoIter<Result<Change<String, Endpoint>, Infallible>>>;
type Key = Box<dyn Fn(&Request<RequestBody>) -> Option<u64> + Send>;
type Picker = AnyPicker<Key>;
type Answer =
    <FailFast<Balance<EjectOutliers<Found, EndpointResults>, Request<RequestBody>>> as Service<
        Request<RequestBody>,
    >>::Future;

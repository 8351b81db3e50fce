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

use super::health;
use super::observe::Observe;
use crate::config::{self, Balancer, HashKey};
use crate::front::body::RequestBody;
use crate::metrics::ClusterStats;
use crate::upstream::{Connect, Connector, TrackBody};

/// A cluster's queue, shared by the routes that lead to it.
pub type Cluster = Buffer<Request<RequestBody>, Answer>;

/// The picker of a cluster.
///
/// # Errors
///
/// If a number of the hash ring is out of its range.
pub(super) fn picker(config: &config::Cluster) -> Result<Picker, InvalidPolicy> {
    Ok(match config.lb_policy {
        // If all weights are equal, they are not read.
        Balancer::P2c if config.weights.windows(2).all(|two| two[0] == two[1]) => P2c::new().into(),
        Balancer::P2c => LeastLoaded::new().into(),
        Balancer::RoundRobin => WeightedRoundRobin::new().into(),
        Balancer::Random => Random::new().into(),
        Balancer::RingHash => {
            // Enough points for shares that are right to some percent, without a ring that is all memory.
            let greatest = config.weights.iter().copied().max().unwrap_or(1).max(1);
            let points = (1600 / greatest as usize).clamp(1, 160);
            let ring = RingHash::by(key(&config.hash_policy));
            ring.points_per_weight(points)?.into()
        }
        Balancer::Maglev => MaglevHash::by(key(&config.hash_policy)).into(),
    })
}

/// The endpoints of a cluster, as its balancer discovers them.
pub(super) fn discover(
    config: &config::Cluster,
    connector: &Connector,
    stats: &ClusterStats,
) -> Found {
    let weights = config.weights.iter().copied().chain(std::iter::repeat(1));
    let endpoints = config.endpoints.iter().zip(&stats.endpoints).zip(weights);
    // By address: so proxies with the same configuration map a key to the same endpoint.
    let endpoints = endpoints.map(|((address, stats), weight)| {
        let endpoint = Weighted::new(super::endpoint(connector, address, stats), weight);
        Ok::<_, Infallible>(Change::Insert(address.to_string(), endpoint))
    });
    stream::iter(endpoints.collect::<Vec<_>>())
}

/// What a request is hashed by.
fn key(by: &HashKey) -> Key {
    match by {
        HashKey::Header(name) => Box::new(http_key::header(name.clone())),
        HashKey::Cookie(name) => Box::new(http_key::cookie(name.clone())),
        HashKey::Path => Box::new(http_key::path()),
    }
}

/// How long an endpoint waits before it is tried again: so short that one which comes back is soon of use, and so long
/// that one which stays away costs nothing.
pub(super) fn backoff() -> ExponentialBackoffMaker {
    let (min, max) = (Duration::from_millis(50), Duration::from_secs(2));
    ExponentialBackoffMaker::new(min, max, 0.5, HasherRng::new())
        .expect("the bounds are the right way round")
}

pub(super) type Measured =
    PendingRequests<Observe<Reconnect<Connect<RequestBody>, config::Endpoint>>, TrackBody>;
type Endpoint = Weighted<Measured>;
type Found = stream::Iter<std::vec::IntoIter<Result<Change<String, Endpoint>, Infallible>>>;
type Key = Box<dyn Fn(&Request<RequestBody>) -> Option<u64> + Send>;
type Picker = AnyPicker<Key>;
type Answer =
    <FailFast<Balance<EjectOutliers<Found, health::Classify>, Request<RequestBody>>> as Service<
        Request<RequestBody>,
    >>::Future;

//! The limits on the rate of a route's requests, and on those of each of its clients.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use tower::limit::GlobalRateLimitLayer;
use tower::limit::error::InvalidLimit;
use tower::limit::keyed::{KeyPermits, KeyRates, KeyedConcurrencyLimitLayer, KeyedRateLimitLayer};
use tower::limit::rate::{Rate, TokenBucket};
use tower::limit::refuse::RefuseLayer;

use crate::config::{Limits, PerClient};
use crate::front::inbound::Inbound;

type ByClient = fn(&Box<Inbound>) -> IpAddr;

/// Returns the layer that limits the rate of all requests, if there is one.
pub(super) fn rate(
    config: &Limits,
) -> Result<Option<RefuseLayer<GlobalRateLimitLayer>>, InvalidLimit> {
    let bucket = bucket(config.requests_per_second, config.burst)?;
    Ok(bucket.map(|bucket| GlobalRateLimitLayer::token_bucket(bucket).shed()))
}

/// Returns the layer that limits the rate of each client, if there is one.
pub(super) fn client_rate(
    config: &PerClient,
) -> Result<Option<KeyedRateLimitLayer<ByClient, IpAddr>>, InvalidLimit> {
    let Some(bucket) = bucket(config.requests_per_second, config.burst)? else {
        return Ok(None);
    };
    let rates = KeyRates::try_new(bucket, config.max_clients)?;
    Ok(Some(KeyedRateLimitLayer::new(rates, client as ByClient)))
}

/// Returns the layer that limits the in-flight requests of each client, if there is one.
pub(super) fn client_in_flight(
    config: &PerClient,
) -> Result<Option<KeyedConcurrencyLimitLayer<ByClient, IpAddr>>, InvalidLimit> {
    let Some(max) = config.max_in_flight else {
        return Ok(None);
    };
    let permits = KeyPermits::try_new(max, config.max_clients)?;
    Ok(Some(KeyedConcurrencyLimitLayer::new(
        permits,
        client as ByClient,
    )))
}

fn bucket(rate: Option<u64>, burst: Option<u64>) -> Result<Option<TokenBucket>, InvalidLimit> {
    let Some(requests) = rate else {
        return Ok(None);
    };
    let rate = Rate::new(requests, Duration::from_secs(1));
    TokenBucket::try_new(rate, burst.unwrap_or(requests)).map(Some)
}

/// Returns whose request it is: the address, or of one of IPv6 its first 64 bits, within which a client can choose.
#[expect(
    clippy::borrowed_box,
    reason = "the layers get a reference to the request"
)]
fn client(request: &Box<Inbound>) -> IpAddr {
    match request.client.address().ip().to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address => address,
    }
}

//! The limits on the rate of a route's requests, and on the requests of each of its clients.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use tower::limit::GlobalRateLimitLayer;
use tower::limit::error::InvalidLimit;
use tower::limit::keyed::{KeyPermits, KeyRates, KeyedConcurrencyLimitLayer, KeyedRateLimitLayer};
use tower::limit::rate::{Rate, TokenBucket};
use tower::limit::refuse::RefuseLayer;

use crate::config::Limits;
use crate::front::inbound::Inbound;

type ByClient = fn(&Box<Inbound>) -> IpAddr;

/// The layers of a route's limits, all of which refuse requests immediately.
pub(super) struct Rates {
    /// The rate of each client.
    pub(super) client: Option<KeyedRateLimitLayer<ByClient, IpAddr>>,
    /// The in-flight requests of each client.
    pub(super) in_flight: Option<KeyedConcurrencyLimitLayer<ByClient, IpAddr>>,
    /// The rate of all clients together.
    pub(super) all: Option<RefuseLayer<GlobalRateLimitLayer>>,
}

/// Returns the layers, or `None` if there is no limit.
///
/// # Errors
///
/// If a number is out of its range.
pub(super) fn rates(config: &Limits) -> Result<Option<Rates>, InvalidLimit> {
    let of_client = &config.per_client;
    let client = bucket(of_client.requests_per_second, of_client.burst)?
        .map(|bucket| KeyRates::try_new(bucket, of_client.max_clients))
        .transpose()?
        .map(|rates| KeyedRateLimitLayer::new(rates, of_request as ByClient));
    let in_flight = of_client
        .max_in_flight
        .map(|max| KeyPermits::try_new(max, of_client.max_clients))
        .transpose()?
        .map(|permits| KeyedConcurrencyLimitLayer::new(permits, of_request as ByClient));
    let all = bucket(config.requests_per_second, config.burst)?
        .map(|bucket| GlobalRateLimitLayer::token_bucket(bucket).shed());
    let is_limited = client.is_some() || in_flight.is_some() || all.is_some();
    Ok(is_limited.then_some(Rates {
        client,
        in_flight,
        all,
    }))
}

fn bucket(rate: Option<u64>, burst: Option<u64>) -> Result<Option<TokenBucket>, InvalidLimit> {
    let Some(requests) = rate else {
        return Ok(None);
    };
    let rate = Rate::try_new(requests, Duration::from_secs(1))?;
    TokenBucket::try_new(rate, burst.unwrap_or(requests)).map(Some)
}

/// Returns the key of the request's client: its IPv4 address, or the first 64 bits of its IPv6 address, as a client can
/// choose the others.
#[expect(
    clippy::borrowed_box,
    reason = "the layers get a reference to the request"
)]
fn of_request(request: &Box<Inbound>) -> IpAddr {
    match request.client.address().ip().to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_limit_there_is_no_layer() {
        assert!(rates(&Limits::default()).unwrap().is_none());
        let mut limits = Limits::default();
        limits.per_client.max_in_flight = Some(1);
        let rates = rates(&limits).unwrap().unwrap();
        assert!(rates.in_flight.is_some() && rates.client.is_none() && rates.all.is_none());
    }
}

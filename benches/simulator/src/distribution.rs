//! How each picker distributes requests among servers that are never busy, at no, low and high load.

use tokio::time::Instant;
use tower_balance::policy::InvalidPolicy;

use crate::contestant::Contestant;
use crate::draw::Work;
use crate::event::{MS, Nanos, SECOND};
use crate::load::Measure;
use crate::scenario::{Host, Row, Scenario};
use crate::scenarios::{MS_F, basic};
use crate::sim;

/// The load: how many requests are in flight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Busy {
    /// No other request is in flight in 99 of 100 cases.
    No,
    /// One in-flight request per two servers.
    Low,
    /// A hundred in-flight requests per server, plus three per unit of weight.
    High,
}

/// The weights of ten equal servers.
pub const EQUAL: [u32; 10] = [1; 10];
/// The weights of twelve servers, three of each weight.
pub const WEIGHTS: [u32; 12] = [1, 1, 1, 10, 10, 10, 100, 100, 100, 1000, 1000, 1000];

impl Busy {
    /// All loads, in ascending order.
    pub const ALL: [Self; 3] = [Self::No, Self::Low, Self::High];

    /// Returns the name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::No => "no load",
            Self::Low => "low load",
            Self::High => "high load",
        }
    }

    fn in_flight(self, weights: &[u32]) -> f64 {
        let count = weights.len() as f64;
        match self {
            Self::No => 0.01,
            Self::Low => count / 2.0,
            Self::High => (100.0 * count).max(3.0 * f64::from(weights.iter().sum::<u32>())),
        }
    }
}

/// Returns all pickers.
pub fn contestants() -> Vec<Contestant> {
    let mut all = Contestant::ALL.to_vec();
    all.extend([
        Contestant::OfAll(Measure::PeakEwma),
        Contestant::Weighted(Measure::Requests),
        Contestant::Weighted(Measure::PeakEwma),
        Contestant::Levels,
        Contestant::Maglev,
    ]);
    all
}

/// Returns the share of the requests that each server receives, for servers of these weights.
///
/// # Errors
///
/// If a picker rejects its settings.
pub fn shares(
    contestant: Contestant,
    weights: &[u32],
    busy: Busy,
    seed: u64,
    base: Instant,
) -> Result<Vec<f64>, InvalidPolicy> {
    let scenario = scenario(weights, busy);
    let score = sim::run(&scenario, &Row::of(contestant), seed, base)?;
    let sum: u64 = score.by_server.iter().sum();
    let share = |count: &u64| *count as f64 / sum.max(1) as f64;
    Ok(score.by_server.iter().map(share).collect())
}

fn scenario(weights: &[u32], busy: Busy) -> Scenario {
    let in_flight = busy.in_flight(weights);
    let rate = in_flight * SECOND as f64 / (10.0 * MS_F);
    let after = |requests: f64| (requests / rate * SECOND as f64) as Nanos;
    // Warm-up: until the expected number of requests is in flight, and each server is known.
    let warm_up = after(10.0 * in_flight + 1_000.0);
    let host = |&weight: &u32| Host {
        cores: f64::INFINITY,
        weight,
        zone: 0,
    };
    Scenario {
        rate,
        warm_up,
        duration: warm_up + after(REQUESTS),
        first: 10 * MS,
        ..basic(
            "distribution",
            "Distribution",
            1,
            weights.iter().map(host).collect(),
            0.0,
            Work::Normal(10.0 * MS_F, MS_F),
        )
    }
}

const REQUESTS: f64 = 40_000.0;

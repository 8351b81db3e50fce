//! The pickers of `tower-balance` that are compared, each with a measure of load.

use tower_balance::picker::{
    AnyPicker, LeastLoaded, Levels, Locality, MaglevHash, P2c, PrequalPicker, Probes, Random,
    RingHash, RoundRobin, WeightedRoundRobin,
};
use tower_balance::policy::InvalidPolicy;
use tower_balance::policy::prequal::PrequalConfig;
use tower_util::rng::SplitMix;

use crate::load::Measure;

/// A picker with its settings and its measure of load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Contestant {
    /// A random server, by weight.
    Random,
    /// Round robin.
    RoundRobin,
    /// Weighted round robin.
    WeightedRoundRobin,
    /// The less loaded of two random servers.
    P2c(Measure),
    /// Of two servers drawn by weight, the one with the lower load per weight.
    Weighted(Measure),
    /// The server with the lowest load per weight of all.
    OfAll(Measure),
    /// Ring hash, by the request's key.
    RingHash,
    /// Maglev, by the request's key.
    Maglev,
    /// Maglev with bounded load: no server has more than 1.5 times its share of the in-flight requests.
    BoundedMaglev,
    /// Prequal, with the hot quantile of its paper (84 %).
    Prequal,
    /// Prequal with a hot quantile of 50 %: a server is hot if it has more in-flight requests than the median of the probes.
    PrequalHalf,
    /// Weighted P2C by in-flight requests within a priority level. All servers are in the same level.
    Levels,
}

impl Contestant {
    /// The pickers that are part of every scenario.
    pub const ALL: [Self; 11] = [
        Self::Random,
        Self::RoundRobin,
        Self::WeightedRoundRobin,
        Self::P2c(Measure::Requests),
        Self::P2c(Measure::PlainEwma),
        Self::P2c(Measure::PeakEwma),
        Self::OfAll(Measure::Requests),
        Self::RingHash,
        Self::BoundedMaglev,
        Self::Prequal,
        Self::PrequalHalf,
    ];

    /// Returns the name in the tables.
    pub fn name(self) -> String {
        let measure = |measure| match measure {
            Measure::Requests => "requests",
            Measure::PeakEwma => "peak EWMA",
            Measure::Unclassified => "peak EWMA, unclassified",
            Measure::PlainEwma => "EWMA of tower 0.5",
        };
        match self {
            Self::Random => "random".into(),
            Self::RoundRobin => "round robin".into(),
            Self::WeightedRoundRobin => "weighted round robin".into(),
            Self::P2c(by) => format!("P2C, {}", measure(by)),
            Self::Weighted(by) => format!("weighted P2C, {}", measure(by)),
            Self::OfAll(by) => format!("least loaded, {}", measure(by)),
            Self::RingHash => "ring hash".into(),
            Self::Maglev => "Maglev".into(),
            Self::BoundedMaglev => "Maglev, bounded".into(),
            Self::Prequal => "Prequal".into(),
            Self::PrequalHalf => "Prequal, hot above the median".into(),
            Self::Levels => "weighted P2C in a level, requests".into(),
        }
    }

    /// Returns the measure of load.
    pub fn measure(self) -> Measure {
        match self {
            Self::P2c(measure) | Self::Weighted(measure) | Self::OfAll(measure) => measure,
            _ => Measure::Requests,
        }
    }

    /// Creates the picker, and the probes that it asks for. `rng` is for pickers with their own random numbers.
    ///
    /// # Errors
    ///
    /// If the picker rejects its settings, which does not happen with these.
    pub(crate) fn picker(self, rng: SplitMix) -> Result<(Picker, Option<Probes>), InvalidPolicy> {
        let picker = match self {
            Self::Random => Random::new().into(),
            Self::RoundRobin => RoundRobin::new().into(),
            Self::WeightedRoundRobin => WeightedRoundRobin::new().into(),
            Self::P2c(_) => P2c::new().into(),
            Self::Weighted(_) => LeastLoaded::new().into(),
            Self::OfAll(_) => LeastLoaded::of_all().into(),
            Self::RingHash => RingHash::by(key as Key).into(),
            Self::Maglev => MaglevHash::by(key as Key).table_size(10_007)?.into(),
            Self::Levels => Levels::new(LeastLoaded::new(), first_level as Level).into(),
            Self::BoundedMaglev => {
                let table = MaglevHash::by(key as Key).table_size(10_007)?;
                table.bounded(150)?.into()
            }
            Self::Prequal => return prequal(PrequalConfig::default(), rng),
            Self::PrequalHalf => return prequal(PrequalConfig::default().hot_quantile(0.5), rng),
        };
        Ok((picker, None))
    }
}

fn prequal(
    config: PrequalConfig,
    rng: SplitMix,
) -> Result<(Picker, Option<Probes>), InvalidPolicy> {
    let (picker, probes) = PrequalPicker::with_rng(config, rng)?;
    Ok((picker.into(), Some(probes)))
}

/// A picker of `tower-balance`. A request is its own hash key.
pub(crate) type Picker = AnyPicker<Key>;

type Key = fn(&u64) -> Option<u64>;
type Level = fn(&str) -> Locality;

fn first_level(_server: &str) -> Locality {
    Locality::default()
}

fn key(request: &u64) -> Option<u64> {
    Some(*request)
}

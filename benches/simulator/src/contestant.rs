//! Who competes: the pickers of `tower-balance`, each with a measure of load.

use tower_balance::picker::{
    AnyPicker, LeastLoaded, Levels, Locality, MaglevHash, P2c, PrequalPicker, Probes, Random,
    RingHash, RoundRobin, WeightedRoundRobin,
};
use tower_balance::policy::InvalidPolicy;
use tower_balance::policy::prequal::PrequalConfig;
use tower_util::rng::SplitMix;

use crate::load::Measure;

/// A picker and what it goes by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Contestant {
    /// By chance.
    Random,
    /// In turn.
    RoundRobin,
    /// In turn, by weight.
    WeightedRoundRobin,
    /// The less loaded of two.
    P2c(Measure),
    /// The less loaded for its weight of two drawn by weight.
    Weighted(Measure),
    /// The least loaded for its weight of all.
    OfAll(Measure),
    /// By the key of a request.
    RingHash,
    /// By the key of a request, in a table.
    Maglev,
    /// The same, none with more than one and a half times its share of requests in flight.
    BoundedMaglev,
    /// By probes.
    Prequal,
    /// The same, but a server is hot that has more requests in flight than half of those seen, not than 84 % of them.
    PrequalHalf,
    /// Weighted P2C by requests in flight within a level, of which all servers are.
    Levels,
}

impl Contestant {
    /// Those that take part everywhere.
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

    /// As it is called in the tables.
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
            Self::OfAll(by) => format!("least of all, {}", measure(by)),
            Self::RingHash => "ring hash".into(),
            Self::Maglev => "Maglev".into(),
            Self::BoundedMaglev => "Maglev, bounded".into(),
            Self::Prequal => "Prequal".into(),
            Self::PrequalHalf => "Prequal, hot above the median".into(),
            Self::Levels => "weighted P2C of a level, requests".into(),
        }
    }

    /// What it measures.
    pub fn measure(self) -> Measure {
        match self {
            Self::P2c(measure) | Self::Weighted(measure) | Self::OfAll(measure) => measure,
            _ => Measure::Requests,
        }
    }

    /// Its picker, with the given randomness if it needs some of its own, and the probes that it asks for.
    ///
    /// # Errors
    ///
    /// None with these settings.
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

/// A picker of the library, for requests that are their own keys.
pub(crate) type Picker = AnyPicker<Key>;

type Key = fn(&u64) -> Option<u64>;
type Level = fn(&str) -> Locality;

fn first_level(_server: &str) -> Locality {
    Locality::default()
}

fn key(request: &u64) -> Option<u64> {
    Some(*request)
}

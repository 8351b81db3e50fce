//! Who competes: the pickers of `tower-balance`, each with a measure of load.

use tower_balance::picker::{
    LeastLoaded, Levels, MaglevHash, P2c, PickContext, Picker, Place, PrequalPicker, Probes,
    Random, RingHash, RoundRobin, WeightedRoundRobin,
};
use tower_balance::policy::InvalidPolicy;
use tower_balance::policy::prequal::PrequalConfig;
use tower_util::rng::SplitMix;

use crate::group::View;
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
    pub(crate) fn picker(
        self,
        rng: SplitMix,
    ) -> Result<(AnyPicker, Option<Probes>), InvalidPolicy> {
        let picker = match self {
            Self::Random => AnyPicker::Random(Random::new()),
            Self::RoundRobin => AnyPicker::RoundRobin(RoundRobin::new()),
            Self::WeightedRoundRobin => AnyPicker::Weighted(WeightedRoundRobin::new()),
            Self::P2c(_) => AnyPicker::P2c(P2c::new()),
            Self::Weighted(_) => AnyPicker::LeastLoaded(LeastLoaded::new()),
            Self::OfAll(_) => AnyPicker::LeastLoaded(LeastLoaded::of_all()),
            Self::RingHash => AnyPicker::RingHash(RingHash::by::<u64>(key)),
            Self::Maglev => {
                AnyPicker::Maglev(MaglevHash::by::<u64>(key as Key).table_size(10_007)?)
            }
            Self::Levels => AnyPicker::Levels(Levels::new(LeastLoaded::new(), first_level)),
            Self::BoundedMaglev => {
                let table = MaglevHash::by::<u64>(key as Key).table_size(10_007)?;
                AnyPicker::Maglev(table.bounded(150)?)
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
) -> Result<(AnyPicker, Option<Probes>), InvalidPolicy> {
    let (picker, probes) = PrequalPicker::with_rng(config, rng)?;
    Ok((AnyPicker::Prequal(picker), Some(probes)))
}

type Key = fn(&u64) -> Option<u64>;
type Level = fn(&str) -> Place;

fn first_level(_server: &str) -> Place {
    Place::default()
}

fn key(request: &u64) -> Option<u64> {
    Some(*request)
}

/// One of the library's pickers. A picker is generic over what it sees, so that there can be no `dyn Picker`.
pub(crate) enum AnyPicker {
    Random(Random),
    RoundRobin(RoundRobin),
    Weighted(WeightedRoundRobin),
    P2c(P2c),
    LeastLoaded(LeastLoaded),
    RingHash(RingHash<Key>),
    Maglev(MaglevHash<Key>),
    Prequal(PrequalPicker),
    Levels(Levels<LeastLoaded, Level>),
}

macro_rules! with_picker {
    ($any:expr, $picker:ident => $body:expr) => {
        match $any {
            AnyPicker::Random($picker) => $body,
            AnyPicker::RoundRobin($picker) => $body,
            AnyPicker::Weighted($picker) => $body,
            AnyPicker::P2c($picker) => $body,
            AnyPicker::LeastLoaded($picker) => $body,
            AnyPicker::RingHash($picker) => $body,
            AnyPicker::Maglev($picker) => $body,
            AnyPicker::Prequal($picker) => $body,
            AnyPicker::Levels($picker) => $body,
        }
    };
}

impl AnyPicker {
    pub(crate) fn pick(
        &mut self,
        view: &View<'_>,
        key: u64,
        cx: &mut impl PickContext,
    ) -> Option<usize> {
        with_picker!(self, picker => picker.pick(view, Some(&key), cx))
    }

    pub(crate) fn inserted(&mut self, view: &View<'_>, id: usize) {
        with_picker!(self, picker => Picker::<View<'_>, u64>::inserted(picker, view, id));
    }

    pub(crate) fn removed(&mut self, id: usize) {
        with_picker!(self, picker => Picker::<View<'_>, u64>::removed(picker, id));
    }
}

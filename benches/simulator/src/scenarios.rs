//! The scenarios, in the order of the README.

mod failing;
mod trouble;
mod usual;

use crate::contestant::Contestant;
use crate::draw::Work;
use crate::event::{MS, SECOND};
use crate::scenario::{Host, Row, Scenario};

pub use self::failing::{buoyant_beside, failing, rejecting, slow_beside};
pub use self::trouble::{antagonists, buoyant, restart, slow, zones};
pub use self::usual::{aperture, equal, supermarket, weights};

/// Returns all scenarios.
pub fn all(seed: u64) -> Vec<Scenario> {
    vec![
        equal(),
        supermarket(),
        slow(),
        failing(),
        slow_beside(),
        buoyant_beside(),
        rejecting(),
        antagonists(seed),
        restart(),
        weights(),
        aperture(),
        zones(),
        buoyant(),
    ]
}

impl Scenario {
    /// Returns the number of zones.
    pub fn zones(&self) -> usize {
        self.servers
            .iter()
            .map(|host| host.zone + 1)
            .max()
            .unwrap_or(1)
    }
}

impl Row {
    fn all() -> Vec<Self> {
        Contestant::ALL.map(Self::of).to_vec()
    }
}

/// Returns a scenario of ten seconds, with two seconds of warm-up, in which the fraction `busy` of the cores is in use.
pub(crate) fn basic(
    name: &'static str,
    title: &'static str,
    clients: usize,
    servers: Vec<Host>,
    busy: f64,
    work: Work,
) -> Scenario {
    let cores: f64 = servers.iter().map(|host| host.cores).sum();
    Scenario {
        name,
        title,
        about: "",
        clients,
        rate: busy * cores * SECOND as f64 / work.mean(),
        servers,
        work,
        duration: 10 * SECOND,
        warm_up: 2 * SECOND,
        deadline: 5 * SECOND,
        first: 30 * MS,
        changes: Vec::new(),
        reports: false,
        bad: None,
        rows: Row::all(),
    }
}

/// One millisecond.
pub(crate) const MS_F: f64 = MS as f64;

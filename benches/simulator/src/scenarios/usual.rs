//! Scenarios without faults.

use super::{MS_F, basic};
use crate::contestant::Contestant;
use crate::draw::Work;
use crate::event::{MS, Nanos, SECOND};
use crate::load::Measure;
use crate::route::Route;
use crate::scenario::{Change, Host, Row, Scenario, Subset};

/// All servers are equal, and each client knows only of its own requests.
pub fn equal() -> Scenario {
    Scenario {
        about: "20 clients, 100 servers of 4 cores, 70 % busy, requests of 10 ms (exponential).",
        ..basic(
            "equal",
            "Equal servers",
            20,
            Host::alike(100, 4.0),
            0.7,
            Work::Exponential(10.0 * MS_F),
        )
    }
}

/// Mitzenmacher's supermarket model: a single client, which knows of all requests.
pub fn supermarket() -> Scenario {
    Scenario {
        about: "1 client, 100 servers of 1 core, 90 % busy, requests of 10 ms (exponential), for 45 s.",
        duration: 45 * SECOND,
        warm_up: 5 * SECOND,
        ..basic(
            "supermarket",
            "One client that knows of all requests",
            1,
            Host::alike(100, 1.0),
            0.9,
            Work::Exponential(10.0 * MS_F),
        )
    }
}

/// Some servers have a greater capacity than others, and matching weights.
pub fn weights() -> Scenario {
    let host = |number| {
        let weight = if number % 2 == 0 { 8 } else { 2 };
        Host {
            cores: f64::from(weight),
            weight,
            zone: 0,
        }
    };
    let mut rows = Row::all();
    rows.extend(
        [Measure::Requests, Measure::PeakEwma]
            .map(|measure| Row::of(Contestant::Weighted(measure))),
    );
    Scenario {
        about: "20 clients, 20 servers, half of them with 8 cores and half with 2, with weights in proportion, 80 % busy, requests \
                of 20 ms (exponential). Round robin and P2C ignore weights.",
        rows,
        ..basic(
            "weights",
            "Heterogeneous weights",
            20,
            (0..20).map(host).collect(),
            0.8,
            Work::Exponential(20.0 * MS_F),
        )
    }
}

/// Many servers, of which each client knows only a few.
pub fn aperture() -> Scenario {
    let row = |contestant, subset| Row {
        contestant,
        subset,
        route: Route::Flat,
    };
    let weighted = Contestant::Weighted;
    let some = Subset::Rendezvous(20);
    let changes = (0..100).flat_map(|number| {
        let (server, down) = (number * 97, SECOND / 2 + number as Nanos * 10 * MS);
        [
            (down, Change::Leave(server)),
            (down + 300 * MS, Change::Join(server)),
        ]
    });
    Scenario {
        about: "1,000 clients, 10,000 servers of 1 core, 50 % busy, requests of 20 ms (exponential), for 2 s. Each client \
                knows 20 servers. A hundred servers are removed for 0.3 s each, one after the other.",
        warm_up: SECOND / 2,
        duration: 2 * SECOND,
        changes: changes.collect(),
        rows: vec![
            row(Contestant::WeightedRoundRobin, Subset::Aperture),
            row(weighted(Measure::Requests), Subset::Aperture),
            row(weighted(Measure::PeakEwma), Subset::Aperture),
            row(Contestant::WeightedRoundRobin, some),
            row(weighted(Measure::Requests), some),
            row(weighted(Measure::PeakEwma), some),
        ],
        ..basic(
            "aperture",
            "10,000 servers",
            1_000,
            Host::alike(10_000, 1.0),
            0.5,
            Work::Exponential(20.0 * MS_F),
        )
    }
}

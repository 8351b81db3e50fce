//! Something is wrong with some of the servers.

use tower_util::rng::Rng;

use super::{MS_F, basic};
use crate::contestant::Contestant;
use crate::draw::{Work, exponential, fork};
use crate::event::{MS, Nanos, SECOND};
use crate::load::Measure;
use crate::route::Route;
use crate::scenario::{Change, Host, Row, Scenario, Subset};
use crate::server::Conduct;

/// One is ten times slower than the others.
pub fn slow() -> Scenario {
    Scenario {
        about: "20 clients, 20 servers of 8 cores, 50 % busy, requests of 10 ms (exponential). From the beginning on one server is \
                10 times slower.",
        changes: vec![(0, Change::Strength(7, 8.0, 0.1))],
        bad: Some((7, 2 * SECOND, Nanos::MAX)),
        ..basic(
            "slow",
            "One server 10 times slower",
            20,
            Host::alike(20, 8.0),
            0.5,
            Work::Exponential(10.0 * MS_F),
        )
    }
}

/// The machines are shared, and what is left of them changes all the time.
pub fn antagonists(seed: u64) -> Scenario {
    let mut rng = fork(seed, ANTAGONISTS);
    let (servers, duration) = (100, 30 * SECOND);
    let mut changes = Vec::new();
    for server in 0..servers {
        let mut at = 0;
        while at < duration {
            let cores = FEWEST + (MOST - FEWEST) * rng.next_f64();
            changes.push((at, Change::Strength(server, cores, 1.0)));
            at += exponential(&mut rng, 3.0 * SECOND as f64) as Nanos;
        }
    }
    let busy = 0.72 * (FEWEST + MOST) / 2.0 / 4.0;
    let mut rows = Row::all();
    rows.push(Row::of(Contestant::OfAll(Measure::PeakEwma)));
    Scenario {
        about: "100 clients, 100 servers, each allotted 4 cores on a machine that it shares: antagonists leave it from 1.5 to 8 \
                cores, another number every 3 s (exponential), each server by itself. 72 % of the mean is in use, requests of 20 ms \
                (normal, deviation 20 ms, cut off at 0), for 30 s. Weighted round robin goes by requests per use of the \
                allotted cores, as servers report it once a second; Prequal by its probes, answered after 0.5 ms.",
        duration,
        changes,
        reports: true,
        rows,
        ..basic(
            "antagonists",
            "Antagonists that wander",
            100,
            Host::alike(servers, 4.0),
            busy,
            Work::Normal(20.0 * MS_F, 20.0 * MS_F),
        )
    }
}

/// All are restarted, one after the other.
pub fn restart() -> Scenario {
    let servers = 20;
    let mut changes = Vec::new();
    for server in 0..servers {
        let down = 2 * SECOND + server as Nanos * 2_500 * MS;
        changes.extend([
            (down, Change::Conduct(server, Conduct::Fail(MS))),
            (down, Change::Crash(server)),
            (down + 100 * MS, Change::Leave(server)),
            (down + 2 * SECOND, Change::Restart(server)),
            (down + 2 * SECOND, Change::Strength(server, 8.0, 0.3)),
            (down + 2_100 * MS, Change::Join(server)),
        ]);
        // Warm after two seconds.
        changes.extend((1..=7).map(|step| {
            let speed = 0.3 + 0.1 * step as f64;
            (
                down + 2 * SECOND + step * 285 * MS,
                Change::Strength(server, 8.0, speed),
            )
        }));
    }
    Scenario {
        about: "20 clients, 20 servers of 8 cores, 60 % busy, requests of 20 ms (exponential), for 55 s. Every 2.5 s a server crashes, \
                its requests in flight fail, and new ones within 1 ms; after 0.1 s the clients are told. 2 s later it is back, with \
                0.3 of its speed at first and the whole after 2 s more.",
        duration: 55 * SECOND,
        changes,
        ..basic(
            "restart",
            "Rolling restart",
            20,
            Host::alike(servers, 8.0),
            0.6,
            Work::Exponential(20.0 * MS_F),
        )
    }
}

/// All servers of a zone are gone for a while.
pub fn zones() -> Scenario {
    let host = |number: usize| Host {
        cores: 4.0,
        weight: 1,
        zone: number % 3,
    };
    let out = (0..30).step_by(3);
    let changes = out.flat_map(|server| {
        [
            (10 * SECOND, Change::Conduct(server, Conduct::Fail(SECOND))),
            (10 * SECOND, Change::Crash(server)),
            (12 * SECOND, Change::Leave(server)),
            (30 * SECOND, Change::Restart(server)),
            (32 * SECOND, Change::Join(server)),
        ]
    });
    let row = |contestant, route| Row {
        contestant,
        subset: Subset::All,
        route,
    };
    let p2c = Contestant::P2c;
    Scenario {
        about: "30 clients and 30 servers of 4 cores in 3 zones, 55 % busy, requests of 20 ms (exponential), for 40 s. From 10 s to \
                30 s a zone is gone: requests in flight fail, and new ones after 1 s; 2 s later the clients are told.",
        duration: 40 * SECOND,
        changes: changes.collect(),
        rows: vec![
            row(Contestant::RoundRobin, Route::Flat),
            row(p2c(Measure::Requests), Route::Flat),
            row(p2c(Measure::PeakEwma), Route::Flat),
            row(Contestant::Prequal, Route::Flat),
            row(Contestant::PrequalHalf, Route::Flat),
            row(Contestant::RoundRobin, Route::Priorities),
            row(p2c(Measure::PeakEwma), Route::Priorities),
            row(p2c(Measure::PeakEwma), Route::ZoneAware),
        ],
        ..basic(
            "zones",
            "Zone outage",
            30,
            (0..30).map(host).collect(),
            0.55,
            Work::Exponential(20.0 * MS_F),
        )
    }
}

/// Buoyant's of 2016, *Beyond Round Robin: Load Balancing for Latency*.
pub fn buoyant() -> Scenario {
    Scenario {
        about: "1 client, 11 servers that are never busy, requests of 167 ms (normal, deviation 5 ms), 1,000 per second for 60 s. From 15 s \
                to 45 s one server takes 2 s for each request. An error is what takes more than 1 s.",
        rate: 1_000.0,
        duration: 60 * SECOND,
        warm_up: 0,
        deadline: SECOND,
        changes: vec![
            (15 * SECOND, Change::Conduct(5, Conduct::Answer(2 * SECOND))),
            (45 * SECOND, Change::Conduct(5, Conduct::Work)),
        ],
        bad: Some((5, 15 * SECOND, 45 * SECOND)),
        ..basic(
            "buoyant",
            "Buoyant's",
            1,
            Host::alike(11, f64::INFINITY),
            0.0,
            Work::Normal(167.0 * MS_F, 5.0 * MS_F),
        )
    }
}

/// What antagonists leave, in cores.
const FEWEST: f64 = 1.5;
const MOST: f64 = 8.0;
/// Sets the antagonists' random numbers apart.
const ANTAGONISTS: u64 = u64::MAX;

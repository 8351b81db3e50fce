//! Scenarios in which some of the servers are slow, restarted or unavailable.

use tower_util::rng::Rng;

use super::{MS_F, basic};
use crate::contestant::Contestant;
use crate::draw::{Work, exponential, fork};
use crate::event::{MS, Nanos, SECOND};
use crate::load::Measure;
use crate::route::Route;
use crate::scenario::{Change, Host, Row, Scenario, Subset};
use crate::server::Behavior;

/// One server is ten times slower than the others.
pub fn slow() -> Scenario {
    Scenario {
        about: "20 clients, 20 servers of 8 cores, 50 % busy, requests of 10 ms (exponential). From the start, one server is \
                10 times slower.",
        changes: vec![(0, Change::Capacity(7, 8.0, 0.1))],
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

/// The servers share their machines with antagonists, and the cores that these leave change all the time.
pub fn antagonists(seed: u64) -> Scenario {
    let mut rng = fork(seed, ANTAGONISTS);
    let (servers, duration) = (100, 30 * SECOND);
    let mut changes = Vec::new();
    for server in 0..servers {
        let mut at = 0;
        while at < duration {
            let cores = FEWEST + (MOST - FEWEST) * rng.next_f64();
            changes.push((at, Change::Capacity(server, cores, 1.0)));
            at += exponential(&mut rng, 3.0 * SECOND as f64) as Nanos;
        }
    }
    let busy = 0.72 * (FEWEST + MOST) / 2.0 / 4.0;
    let mut rows = Row::all();
    rows.push(Row::of(Contestant::OfAll(Measure::PeakEwma)));
    Scenario {
        about: "100 clients, 100 servers, each allotted 4 cores on a shared machine: antagonists leave it between 1.5 and 8 cores, \
                a new random number every 3 s (exponential), independently for each server. 72 % of the mean is in use, requests of \
                20 ms (normal, deviation 20 ms, cut off at 0), for 30 s. The weights of weighted round robin are requests per \
                utilization of the allotted cores, reported by the servers once a second; Prequal uses probes, which take 0.5 ms.",
        duration,
        changes,
        reports: true,
        rows,
        ..basic(
            "antagonists",
            "Changing antagonists",
            100,
            Host::alike(servers, 4.0),
            busy,
            Work::Normal(20.0 * MS_F, 20.0 * MS_F),
        )
    }
}

/// All servers are restarted, one after the other.
pub fn restart() -> Scenario {
    let servers = 20;
    let mut changes = Vec::new();
    for server in 0..servers {
        let down = 2 * SECOND + server as Nanos * 2_500 * MS;
        changes.extend([
            (down, Change::Behavior(server, Behavior::Fail(MS))),
            (down, Change::Crash(server)),
            (down + 100 * MS, Change::Leave(server)),
            (down + 2 * SECOND, Change::Restart(server)),
            (down + 2 * SECOND, Change::Capacity(server, 8.0, 0.3)),
            (down + 2_100 * MS, Change::Join(server)),
        ]);
        // At full speed after two seconds.
        changes.extend((1..=7).map(|step| {
            let speed = 0.3 + 0.1 * step as f64;
            (
                down + 2 * SECOND + step * 285 * MS,
                Change::Capacity(server, 8.0, speed),
            )
        }));
    }
    Scenario {
        about: "20 clients, 20 servers of 8 cores, 60 % busy, requests of 20 ms (exponential), for 55 s. Every 2.5 s a server crashes, \
                its in-flight requests fail, and new ones fail within 1 ms; after 0.1 s the clients remove it. 2 s later it is back, \
                at first with 30 % of its speed, and at full speed after another 2 s.",
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

/// All servers of a zone are unavailable for a while.
pub fn zones() -> Scenario {
    let host = |number: usize| Host {
        cores: 4.0,
        weight: 1,
        zone: number % 3,
    };
    let out = (0..30).step_by(3);
    let changes = out.flat_map(|server| {
        [
            (
                10 * SECOND,
                Change::Behavior(server, Behavior::Fail(SECOND)),
            ),
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
                30 s a zone is unavailable: in-flight requests fail, and new ones fail after 1 s; after 2 s the clients remove it.",
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

/// The scenario of Buoyant's *Beyond Round Robin: Load Balancing for Latency* (2016).
pub fn buoyant() -> Scenario {
    Scenario {
        about: "1 client, 11 servers that are never busy, requests of 167 ms (normal, deviation 5 ms), 1,000 per second for 60 s. From 15 s \
                to 45 s one server takes 2 s for each request. Requests that take more than 1 s count as errors.",
        rate: 1_000.0,
        duration: 60 * SECOND,
        warm_up: 0,
        deadline: SECOND,
        changes: vec![
            (
                15 * SECOND,
                Change::Behavior(5, Behavior::Respond(2 * SECOND)),
            ),
            (45 * SECOND, Change::Behavior(5, Behavior::Work)),
        ],
        bad: Some((5, 15 * SECOND, 45 * SECOND)),
        ..basic(
            "buoyant",
            "Buoyant's scenario",
            1,
            Host::alike(11, f64::INFINITY),
            0.0,
            Work::Normal(167.0 * MS_F, 5.0 * MS_F),
        )
    }
}

/// The range of cores that antagonists leave.
const FEWEST: f64 = 1.5;
const MOST: f64 = 8.0;
/// Makes the antagonists' random numbers independent of the others.
const ANTAGONISTS: u64 = u64::MAX;

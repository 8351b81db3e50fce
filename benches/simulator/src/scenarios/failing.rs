//! Scenarios in which one server fails, and therefore looks idle and fast.

use super::{MS_F, basic};
use crate::contestant::Contestant;
use crate::draw::Work;
use crate::event::{MS, Nanos, SECOND};
use crate::load::Measure;
use crate::scenario::{Change, Host, Row, Scenario};
use crate::server::Behavior;

/// One server fails immediately.
pub fn failing() -> Scenario {
    let mut rows = Row::all();
    let of_all = |measure| Row::of(Contestant::OfAll(measure));
    rows.extend([Measure::PlainEwma, Measure::PeakEwma].map(of_all));
    Scenario {
        about: "5 clients, 10 servers of 8 cores, 50 % busy, requests of 20 ms (exponential), for 30 s. From 5 s to 25 s one \
                server fails each request within 1 ms.",
        duration: 30 * SECOND,
        changes: vec![
            (5 * SECOND, Change::Behavior(3, Behavior::Fail(MS))),
            (25 * SECOND, Change::Behavior(3, Behavior::Work)),
        ],
        bad: Some((3, 5 * SECOND, 25 * SECOND)),
        rows,
        ..basic(
            "failing",
            "One server fails fast",
            5,
            Host::alike(10, 8.0),
            0.5,
            Work::Exponential(20.0 * MS_F),
        )
    }
}

/// One server fails immediately while the others take a second: with nine requests in flight, each of these has a load of ten
/// times its latency.
pub fn slow_beside() -> Scenario {
    Scenario {
        about: "1 client, 11 servers that are never busy, requests of 1 s (normal, deviation 20 ms), 100 per second for 60 s. One \
                server fails each request within 1 ms.",
        ..beside(
            "failing-1s",
            "One server fails fast, the others take 1 s",
            Behavior::Fail(MS),
            Work::Normal(1_000.0 * MS_F, 20.0 * MS_F),
            100.0,
        )
    }
}

/// The same with the servers of Buoyant's scenario, and a default estimate of several times the usual latency.
pub fn buoyant_beside() -> Scenario {
    Scenario {
        about: "1 client, 11 servers that are never busy, requests of 167 ms (normal, deviation 5 ms), 1,000 per second for 60 s. One \
                server fails each request within 1 ms. The default estimate of peak EWMA is 500 ms.",
        first: 500 * MS,
        ..beside(
            "failing-167ms",
            "One server fails fast, the others take 167 ms",
            Behavior::Fail(MS),
            Work::Normal(167.0 * MS_F, 5.0 * MS_F),
            1_000.0,
        )
    }
}

/// One server immediately rejects each request with a response.
pub fn rejecting() -> Scenario {
    let mut scenario = beside(
        "rejecting",
        "One server responds with 503 immediately",
        Behavior::Reject(MS),
        Work::Normal(1_000.0 * MS_F, 20.0 * MS_F),
        100.0,
    );
    scenario.about = "1 client, 11 servers that are never busy, requests of 1 s (normal, deviation 20 ms), 100 per second for 60 s. \
                      One server responds with 503 to each request within 1 ms. Peak EWMA counts that as a failure if it has a \
                      classification, and as a success if it has none (unclassified).";
    let unclassified = Contestant::P2c(Measure::Unclassified);
    scenario.rows.push(Row::of(unclassified));
    scenario
}

fn beside(
    name: &'static str,
    title: &'static str,
    behavior: Behavior,
    work: Work,
    rate: f64,
) -> Scenario {
    let mut rows = Row::all();
    rows.push(Row::of(Contestant::OfAll(Measure::PeakEwma)));
    Scenario {
        rate,
        duration: 60 * SECOND,
        warm_up: 0,
        changes: vec![(0, Change::Behavior(5, behavior))],
        bad: Some((5, 0, Nanos::MAX)),
        rows,
        ..basic(name, title, 1, Host::alike(11, f64::INFINITY), 0.0, work)
    }
}

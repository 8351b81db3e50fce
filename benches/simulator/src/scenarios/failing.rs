//! One server fails, and looks idle and fast because of it.

use super::{MS_F, basic};
use crate::contestant::Contestant;
use crate::draw::Work;
use crate::event::{MS, Nanos, SECOND};
use crate::load::Measure;
use crate::scenario::{Change, Host, Row, Scenario};
use crate::server::Conduct;

/// One fails in no time.
pub fn failing() -> Scenario {
    let mut rows = Row::all();
    let of_all = |measure| Row::of(Contestant::OfAll(measure));
    rows.extend([Measure::PlainEwma, Measure::PeakEwma].map(of_all));
    Scenario {
        about: "5 clients, 10 servers of 8 cores, 50 % busy, requests of 20 ms (exponential), for 30 s. From 5 s to 25 s one \
                server fails each request within 1 ms.",
        duration: 30 * SECOND,
        changes: vec![
            (5 * SECOND, Change::Conduct(3, Conduct::Fail(MS))),
            (25 * SECOND, Change::Conduct(3, Conduct::Work)),
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

/// One fails in no time, beside others that take a second each: with nine requests in flight they look ten times as loaded as
/// they are slow.
pub fn slow_beside() -> Scenario {
    Scenario {
        about: "1 client, 11 servers that are never busy, requests of 1 s (normal, deviation 20 ms), 100 per second for 60 s. One \
                server fails each request within 1 ms.",
        ..beside(
            "failing-1s",
            "One fails fast beside servers of a second",
            Conduct::Fail(MS),
            Work::Normal(1_000.0 * MS_F, 20.0 * MS_F),
            100.0,
        )
    }
}

/// The same in Buoyant's world, with a first estimate of several times what is usual.
pub fn buoyant_beside() -> Scenario {
    Scenario {
        about: "1 client, 11 servers that are never busy, requests of 167 ms (normal, deviation 5 ms), 1,000 per second for 60 s. One \
                server fails each request within 1 ms. The first estimate of peak EWMA is 500 ms.",
        first: 500 * MS,
        ..beside(
            "failing-167ms",
            "One fails fast beside Buoyant's servers",
            Conduct::Fail(MS),
            Work::Normal(167.0 * MS_F, 5.0 * MS_F),
            1_000.0,
        )
    }
}

/// One answers in no time that it is overloaded.
pub fn refusing() -> Scenario {
    let mut scenario = beside(
        "refusing",
        "One answers 503 at once",
        Conduct::Refuse(MS),
        Work::Normal(1_000.0 * MS_F, 20.0 * MS_F),
        100.0,
    );
    scenario.about = "1 client, 11 servers that are never busy, requests of 1 s (normal, deviation 20 ms), 100 per second for 60 s. \
                      One server answers 503 to each request within 1 ms. Peak EWMA takes that for a failure by a classification, or \
                      else (unclassified) for an answer.";
    let unclassified = Contestant::P2c(Measure::Unclassified);
    scenario.rows.push(Row::of(unclassified));
    scenario
}

fn beside(
    name: &'static str,
    title: &'static str,
    conduct: Conduct,
    work: Work,
    rate: f64,
) -> Scenario {
    let mut rows = Row::all();
    rows.push(Row::of(Contestant::OfAll(Measure::PeakEwma)));
    Scenario {
        rate,
        duration: 60 * SECOND,
        warm_up: 0,
        changes: vec![(0, Change::Conduct(5, conduct))],
        bad: Some((5, 0, Nanos::MAX)),
        rows,
        ..basic(name, title, 1, Host::alike(11, f64::INFINITY), 0.0, work)
    }
}

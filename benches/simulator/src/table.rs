//! Prints scores as Markdown tables.

use std::fmt::Write as _;

use tokio::time::Instant;
use tower_balance::policy::InvalidPolicy;

use crate::connections;
use crate::distribution::{self, Busy};
use crate::overload::{self, Guard, Outcome};
use crate::scenario::Scenario;
use crate::score::Score;

/// Returns the table of a scenario, with its title.
pub fn of_scores(scenario: &Scenario, scores: &[Score]) -> String {
    let zones = scenario.zones() > 1;
    let mut out = format!(
        "### {} (`{}`)\n\n{}\n\n",
        scenario.title, scenario.name, scenario.about
    );
    let worst = if scenario.bad.is_some() {
        "faulty server"
    } else {
        "busiest server"
    };
    let _ = write!(
        out,
        "| picker | mean ms | p50 ms | p99 ms | p99.9 ms | errors | {worst}: of all | times equal share | connections per server | opened later per client |"
    );
    out += if zones {
        " in the zone |\n|---|"
    } else {
        "\n|---|"
    };
    out += &"---:|".repeat(9 + usize::from(zones));
    out += "\n";
    for score in scores {
        let quantile = |part| milliseconds(score.quantile(part));
        let least = score.connections.iter().min().copied().unwrap_or(0);
        let most = score.connections.iter().max().copied().unwrap_or(0);
        let connections = if least == most {
            format!("{most}")
        } else {
            format!("{least} to {most}")
        };
        let _ = write!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {:.2} | {connections} | {} |",
            score.label,
            milliseconds(score.mean()),
            quantile(0.5),
            quantile(0.99),
            quantile(0.999),
            percent(score.error_rate()),
            percent(score.worst_share()),
            score.worst_in_shares(),
            (score.churn() * 100.0).round() / 100.0,
        );
        out += &if zones {
            format!(" {} |\n", percent(score.local_share()))
        } else {
            "\n".into()
        };
    }
    out
}

/// Returns the table of the connections that subsets need, and how many change when a client or a server is added.
pub fn of_connections() -> String {
    let mut out = String::from(
        "### Connections\n\nWithout requests: the number of connections per server, and the fraction of all connections that changes \
         when a client or a server is added.\n\n\
         | clients | servers | subset | connections in total | per server | changed by a client | by a server |\n|---:|---:|---|---:|---:|---:|---:|\n",
    );
    for (clients, servers) in [
        (5, 18),
        (12, 24),
        (100, 30),
        (7, 100),
        (300, 300),
        (1_000, 10_000),
    ] {
        for row in connections::compare(clients, servers) {
            let _ = writeln!(
                out,
                "| {clients} | {servers} | {} | {} | {} to {} | {} | {} |",
                row.name,
                row.total,
                row.least,
                row.most,
                percent(row.client_churn),
                percent(row.server_churn),
            );
        }
    }
    out
}

/// Returns the tables of the share of the requests that each server receives, at no, low and high load.
///
/// # Errors
///
/// If a picker rejects its settings.
pub fn of_distribution(seed: u64, base: Instant) -> Result<String, InvalidPolicy> {
    let mut out = String::from(
        "### Distribution\n\n1 client, servers that are never busy, requests of 10 ms (normal, deviation 1 ms). No load is one \
         request per second; low load is one in-flight request per two servers; high load is a hundred per server, plus three per \
         unit of weight.\n\nTen servers of equal weight: the requests of the least and the most used one, in multiples of a tenth.\n\n",
    );
    out += &header();
    let equal = |shares: &[f64]| {
        let count = shares.len() as f64;
        let in_shares = || shares.iter().map(|share| share * count);
        let least = in_shares().fold(f64::INFINITY, f64::min);
        let most = in_shares().fold(0.0, f64::max);
        format!("{least:.2} to {most:.2}")
    };
    rows(&mut out, &distribution::EQUAL, equal, seed, base)?;
    out += "\nTwelve servers, three of each weight: the requests of those of weight 1, 10, 100 and 1,000, in percent. In proportion \
            to weight it is 0.09, 0.9, 9.0 and 90. P2C, round robin and Prequal ignore weights, and send 25 to each.\n\n";
    out += &header();
    let by_weight = |shares: &[f64]| {
        let percent = |some: &[f64]| match some.iter().sum::<f64>() * 100.0 {
            sum if sum < 0.995 => format!("{sum:.2}"),
            sum => format!("{sum:.1}"),
        };
        let classes: Vec<_> = shares.chunks(3).map(percent).collect();
        classes.join(" / ")
    };
    rows(&mut out, &distribution::WEIGHTS, by_weight, seed, base)?;
    Ok(out)
}

fn header() -> String {
    let names = Busy::ALL.map(Busy::name).join(" | ");
    format!("| picker | {names} |\n|---|---:|---:|---:|\n")
}

fn rows(
    out: &mut String,
    weights: &[u32],
    cell: impl Fn(&[f64]) -> String,
    seed: u64,
    base: Instant,
) -> Result<(), InvalidPolicy> {
    for contestant in distribution::contestants() {
        let _ = write!(out, "| {} |", contestant.name());
        for busy in Busy::ALL {
            let shares = distribution::shares(contestant, weights, busy, seed, base)?;
            let _ = write!(out, " {} |", cell(&shares));
        }
        *out += "\n";
    }
    Ok(())
}

/// Returns the tables of a server that gets three times the requests that it can do.
///
/// # Errors
///
/// If a policy rejects its configuration.
pub fn of_overload(seed: u64, base: Instant) -> Result<String, InvalidPolicy> {
    let mut out = String::from(
        "### Overload (`overload`)\n\n1 server of 8 cores, requests of 10 ms. 2,400 clients, each of which thinks for a second on average, \
         sends a request, and waits for the response for at most a second: three times what the server can do. It does not notice \
         that a client has given up. For 10 minutes after 10 s.\n",
    );
    for (about, work) in [
        ("exponential", overload::DIFFERENT),
        ("normal, deviation 1 ms", overload::ALIKE),
    ] {
        let _ = write!(
            out,
            "\nRequests of 10 ms ({about}):\n\n\
             | limit | goodput, of what the server can do | refused | given up | in flight | p50 ms | p99 ms | times that of a tenth of the load |\n\
             |---|---:|---:|---:|---:|---:|---:|---:|\n"
        );
        let idle = overload::run(0.1, work, Guard::None, seed, base)?;
        let mut row = |label: &str, outcome: &Outcome| {
            let p99 = outcome.quantile(0.99);
            let _ = writeln!(
                out,
                "| {label} | {:.1} % | {} | {} | {:.1} | {} | {} | {:.1} |",
                outcome.goodput * 100.0,
                percent(outcome.refused),
                percent(outcome.given_up),
                outcome.in_flight,
                milliseconds(outcome.quantile(0.5)),
                milliseconds(p99),
                p99 / idle.quantile(0.99),
            );
        };
        row("a tenth of the load, none", &idle);
        for guard in Guard::ALL {
            row(
                &guard.label(),
                &overload::run(3.0, work, guard, seed, base)?,
            );
        }
    }
    Ok(out)
}

fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms < 100.0 => format!("{ms:.1}"),
        ms => format!("{ms:.0}"),
    }
}

fn percent(part: f64) -> String {
    match part * 100.0 {
        0.0 => "0".into(),
        percent if percent < 0.001 => "< 0.001 %".into(),
        percent if percent < 1.0 => format!("{percent:.3} %"),
        percent => format!("{percent:.2} %"),
    }
}

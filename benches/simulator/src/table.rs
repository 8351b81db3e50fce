//! Scores as a table of Markdown.

use std::fmt::Write as _;

use crate::connections;
use crate::scenario::Scenario;
use crate::score::Score;

/// The scores of a scenario, under its title.
pub fn of_scores(scenario: &Scenario, scores: &[Score]) -> String {
    let zones = scenario.zones() > 1;
    let mut out = format!(
        "### {} (`{}`)\n\n{}\n\n",
        scenario.title, scenario.name, scenario.about
    );
    let worst = if scenario.bad.is_some() {
        "bad server"
    } else {
        "busiest server"
    };
    let _ = write!(
        out,
        "| picker | mean ms | p50 ms | p99 ms | p99.9 ms | errors | {worst}: of all | in shares | connections of a server | opened later per client |"
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

/// How many connections subsets need, and how many change when a client or a server comes.
pub fn of_connections() -> String {
    let mut out = String::from(
        "### Connections\n\nNo requests here: how many connections a server has, and which part of all connections changes when there \
         is a client, or a server, more.\n\n\
         | clients | servers | subset | connections in all | of a server | changed by a client | by a server |\n|---:|---:|---|---:|---:|---:|---:|\n",
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

//! `cargo run --release --bin compare [PART OF A NAME ...]`: both towers in turn, the medians and their ratio, and the
//! heap allocations of a request, as the first table of `README.md`. `compare added` is the table of the layers that only ours
//! has, and `compare callers` that of many callers.

mod added;
mod callers;

use std::time::{Duration, Instant};

use tower_benches::counting::{Counting, allocations};
use tower_benches::{Case, ours, registry};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(20);

/// A case, and what was measured of it.
struct Measured {
    run: Box<dyn FnMut(u64)>,
    requests: u64,
    nanos: Vec<f64>,
    allocations: f64,
}

impl Measured {
    fn new(case: &Case) -> Self {
        let mut run = (case.prepare)();
        // As many requests as fit into a round.
        let mut requests = 1024;
        while time(&mut run, requests) < ROUND {
            requests *= 2;
        }
        Self {
            run,
            requests,
            nanos: Vec::new(),
            allocations: 0.0,
        }
    }

    fn round(&mut self) {
        let before = allocations();
        let elapsed = time(&mut self.run, self.requests);
        let counted = allocations() - before;
        self.allocations = counted as f64 / self.requests as f64;
        self.nanos
            .push(elapsed.as_nanos() as f64 / self.requests as f64);
    }

    fn median(&mut self) -> f64 {
        self.nanos.sort_by(f64::total_cmp);
        self.nanos[self.nanos.len() / 2]
    }
}

fn time(run: &mut dyn FnMut(u64), requests: u64) -> Duration {
    let start = Instant::now();
    run(requests);
    start.elapsed()
}

fn main() {
    let names: Vec<_> = std::env::args().skip(1).collect();
    if names.first().is_some_and(|name| name == "callers") {
        return callers::run(&names[1..]);
    }
    if names.first().is_some_and(|name| name == "added") {
        return added::run(&names[1..]);
    }
    println!(
        "| case | ours, ns | registry's, ns | ratio | asked for | allocations, ours | registry's |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (ours, registry) in ours::ALL.iter().zip(registry::ALL) {
        if !names.is_empty() && !names.iter().any(|name| ours.name.contains(&**name)) {
            continue;
        }
        let mut both = [Measured::new(ours), Measured::new(registry)];
        for _ in 0..ROUNDS {
            both.iter_mut().for_each(Measured::round);
        }
        let [a, b] = &mut both;
        let (mine, theirs) = (a.median(), b.median());
        println!(
            "| {} | {mine:.1} | {theirs:.1} | {} | {} | {:.2} | {:.2} |",
            ours.name,
            ratio(mine / theirs),
            ratio(ours.target),
            a.allocations,
            b.allocations,
        );
    }
}

fn ratio(ratio: f64) -> String {
    if ratio.is_infinite() {
        String::new()
    } else if ratio < 0.95 {
        format!("1/{:.1}", 1.0 / ratio)
    } else {
        format!("{ratio:.2}")
    }
}

//! `cargo run --release --bin callers [--runs N] [PART OF A NAME ...]`: what a request costs when many tasks share one service,
//! ours beside the registry's tower.
//!
//! Each figure comes from a process of its own, and those of the two take turns. The table has the medians, their ratio,
//! and the worst ratio of a run. `--after` measures in a runtime that has served other load before, `--busy` beside two
//! other processes that keep two cores busy; `--latency` has the 99.9th percentile of a request's time instead.

use std::process::Command;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tower_benches::counting::{Counting, allocations};
use tower_benches::shared::{CALLERS, Latencies, Shape, THREADS, ours, registry};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// For how long a process measures.
const TIME: Duration = Duration::from_millis(150);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("measure") => measure(&args[1..]),
        Some("spin") => spin(),
        _ => table(&args),
    }
}

/// `measure TOWER SHAPE THREADS CALLERS [--after]`: prints the nanoseconds and the allocations of a request.
fn measure(args: &[String]) {
    let [tower, shape, threads, callers, rest @ ..] = args else {
        panic!("measure TOWER SHAPE THREADS CALLERS [--after]");
    };
    let shape = Shape::ALL
        .into_iter()
        .find(|known| known.name() == shape)
        .expect("a known shape");
    let (threads, callers) = (threads.parse().unwrap(), callers.parse().unwrap());
    let prepare = if tower == "ours" {
        ours::prepare
    } else {
        registry::prepare
    };
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .unwrap();
    if rest.iter().any(|arg| arg == "--after") {
        prepare(&runtime, Shape::BufferLater, 512, None)(1 << 16);
    }
    if rest.iter().any(|arg| arg == "--latency") {
        let latencies = Latencies::default();
        prepare(&runtime, shape, callers, Some(&latencies))(1 << 20);
        let mut latencies = latencies.lock().unwrap().clone();
        latencies.sort_unstable();
        println!("{} 0", latencies[latencies.len() / 1000 * 999]);
        return;
    }
    let mut run = prepare(&runtime, shape, callers, None);
    let mut requests = 1024;
    loop {
        let (before, start) = (allocations(), Instant::now());
        run(requests);
        let elapsed = start.elapsed();
        if elapsed >= TIME {
            let allocated = (allocations() - before) as f64 / requests as f64;
            println!(
                "{} {allocated}",
                elapsed.as_nanos() as f64 / requests as f64
            );
            return;
        }
        requests *= 2;
    }
}

/// Keeps a core busy until it is killed, or for two minutes.
fn spin() {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(120) {
        std::hint::black_box(start);
    }
}

fn table(args: &[String]) {
    let mut runs = 10;
    let (mut flags, mut names) = (Vec::new(), Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--runs" => runs = args.next().expect("a number").parse().expect("a number"),
            "--after" | "--busy" | "--latency" => flags.push(arg.as_str()),
            name => names.push(name),
        }
    }
    let program = std::env::current_exe().unwrap();
    println!(
        "| service | threads | callers | ours, ns | worst | registry's, ns | ratio | worst | allocations |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for shape in Shape::ALL {
        for threads in THREADS {
            for callers in CALLERS {
                let name = format!("{}, {threads} threads, {callers} callers", shape.name());
                if !names.iter().all(|part| name.contains(part)) {
                    continue;
                }
                let one = |tower: &str| {
                    let arguments = [
                        tower,
                        shape.name(),
                        &threads.to_string(),
                        &callers.to_string(),
                    ];
                    let output = Command::new(&program)
                        .arg("measure")
                        .args(arguments)
                        .args(&flags)
                        .output()
                        .unwrap();
                    let text = String::from_utf8(output.stdout).unwrap();
                    let mut figures = text
                        .split_whitespace()
                        .map(|figure| figure.parse::<f64>().unwrap());
                    (figures.next().unwrap(), figures.next().unwrap())
                };
                let mut spinners: Vec<_> = flags
                    .contains(&"--busy")
                    .then(|| [(); 2].map(|()| Command::new(&program).arg("spin").spawn().unwrap()))
                    .into_iter()
                    .flatten()
                    .collect();
                let (mut mine, mut theirs, mut ratios, mut allocated) =
                    (vec![], vec![], vec![], 0.0_f64);
                for _ in 0..runs {
                    let (ours, allocations) = one("ours");
                    let (registry, _) = one("registry");
                    mine.push(ours);
                    theirs.push(registry);
                    ratios.push(ours / registry);
                    allocated = allocated.max(allocations);
                }
                for spinner in &mut spinners {
                    spinner.kill().unwrap();
                    spinner.wait().unwrap();
                }
                for figures in [&mut mine, &mut theirs, &mut ratios] {
                    figures.sort_by(f64::total_cmp);
                }
                let (median, last) = (runs / 2, runs - 1);
                println!(
                    "| {} | {threads} | {callers} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} | {allocated:.2} |",
                    shape.name(),
                    mine[median],
                    mine[last],
                    theirs[median],
                    mine[median] / theirs[median],
                    ratios[last],
                );
            }
        }
    }
}

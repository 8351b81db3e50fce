//! `compare callers [--runs N] [--after] [--busy] [--latency] [PART OF A NAME ...]`: what a request costs when many tasks share
//! one service.
//!
//! Each figure comes from a process of its own, and those of the two towers take turns. The table has the medians over the
//! runs, the slowest run, the ratio of the medians, and the worst ratio of two runs that followed each other. `--after`
//! measures in a runtime that has served other load before, `--busy` beside two other processes that keep two cores busy;
//! `--latency` has the 99.9th percentile of a request's time instead, and beside it, instead of the allocations, how often the
//! operating system took the core from a thread that could go on, for 1,000 requests of ours and of the registry's.

use std::process::Command;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tower_benches::counting::allocations;
use tower_benches::shared::{CALLERS, Latencies, Shape, THREADS, ours, registry};

/// For how long a process measures.
const TIME: Duration = Duration::from_millis(150);

pub fn run(args: &[String]) {
    match args.first().map(String::as_str) {
        Some("measure") => measure(&args[1..]),
        Some("spin") => spin(),
        _ => table(args),
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
        let before = preemptions();
        prepare(&runtime, shape, callers, Some(&latencies))(1 << 20);
        let preempted = preemptions() - before;
        let mut latencies = latencies.lock().unwrap().clone();
        latencies.sort_unstable();
        let thousands = latencies.len() / 1000;
        println!(
            "{} {}",
            latencies[thousands * 999],
            preempted as f64 / thousands as f64
        );
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

/// How often a thread of this process has lost its core without asking for it. 0 where there is no `/proc`.
fn preemptions() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    let of_task = |task: std::io::Result<std::fs::DirEntry>| {
        let status = std::fs::read_to_string(task.ok()?.path().join("status")).ok()?;
        let count = status
            .lines()
            .find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"))?;
        count.trim().parse::<u64>().ok()
    };
    tasks.filter_map(of_task).sum()
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
        "| service | threads | callers | ours, ns | worst | registry's, ns | ratio | worst | allocations, ours / the registry's |"
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
                        .args(["callers", "measure"])
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
                    .then(|| {
                        [(); 2].map(|()| {
                            Command::new(&program)
                                .args(["callers", "spin"])
                                .spawn()
                                .unwrap()
                        })
                    })
                    .into_iter()
                    .flatten()
                    .collect();
                let (mut mine, mut theirs, mut ratios, mut allocated) =
                    (vec![], vec![], vec![], [0.0_f64; 2]);
                for _ in 0..runs {
                    let (ours, allocations) = one("ours");
                    let (registry, their_allocations) = one("registry");
                    mine.push(ours);
                    theirs.push(registry);
                    ratios.push(ours / registry);
                    allocated[0] = allocated[0].max(allocations);
                    allocated[1] = allocated[1].max(their_allocations);
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
                    "| {} | {threads} | {callers} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} / {:.2} |",
                    shape.name(),
                    mine[median],
                    mine[last],
                    theirs[median],
                    mine[median] / theirs[median],
                    ratios[last],
                    allocated[0],
                    allocated[1],
                );
            }
        }
    }
}

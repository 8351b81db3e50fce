//! `cargo run --release --bin hammer [PART OF A NAME ...]`: what all tasks share, hammered by 1, 2 and 4 threads, beside a
//! single atomic counter that is hammered the same way; as the table of `README.md`.
//!
//! With `--perf THREADS PART OF A NAME` one case runs for some seconds, for a profiler.

mod cases;
// The proxy's metrics, in `cases`, need it.
#[path = "../../../../examples/proxy/src/threads.rs"]
mod threads;

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, LazyLock};
use std::time::{Duration, Instant};

use core_affinity::CoreId;
use tokio::runtime::Handle;

use self::cases::{Case, Work};

const THREADS: [usize; 3] = [1, 2, 4];
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(15);
const WARM_UP: u64 = 1000;
/// How many operations there are between two looks at whether the round is over.
const CHUNK: u64 = 64;

/// What a counter, the case, and the case without sharing took in each round: nanoseconds of a core for one operation.
#[derive(Default)]
struct Measured {
    counter: Vec<f64>,
    shared: Vec<f64>,
    own: Vec<f64>,
}

fn main() {
    let runtime = tower_benches::current_thread();
    let _timers = runtime.enter();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [perf, threads, name] = &arguments[..]
        && perf == "--perf"
    {
        let threads: usize = threads.parse().expect("a number of threads");
        let case = cases::ALL.iter().find(|case| case.name.contains(&**name));
        let mut handle = (case.expect("there is no case of that name").prepare)();
        let works = (0..threads).map(|_| handle());
        println!(
            "{:.1} ns",
            timed(works, Duration::from_secs(5), runtime.handle())
        );
        return;
    }
    println!(
        "Nanoseconds of a core for one operation: shared by 1, 2 and 4 threads (least to most), the ratio to the counter, and what it costs two threads that do not share it.\n"
    );
    println!(
        "| shared | writes | clock | 1 thread | ratio | 2 threads | ratio | 4 threads | ratio | 2 threads, one each |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for case in cases::ALL {
        if arguments.is_empty() || arguments.iter().any(|part| case.name.contains(&**part)) {
            println!("{}", row(case, runtime.handle()));
        }
    }
}

fn row(case: &Case, runtime: &Handle) -> String {
    let mut measured: [Measured; THREADS.len()] = Default::default();
    for _ in 0..ROUNDS {
        for (threads, measured) in THREADS.into_iter().zip(&mut measured) {
            let counter = Arc::new(Aligned::default());
            let counters = || Box::new(count(Arc::clone(&counter))) as Work;
            measured
                .counter
                .push(timed((0..threads).map(|_| counters()), ROUND, runtime));
            let mut handle = (case.prepare)();
            measured
                .shared
                .push(timed((0..threads).map(|_| handle()), ROUND, runtime));
            let alone = (0..threads).map(|_| (case.prepare)()());
            measured.own.push(timed(alone, ROUND, runtime));
        }
    }
    let writes = case
        .writes
        .map_or_else(|| "locks".to_owned(), |writes| writes.to_string());
    let mut row = format!("| {} | {writes} | {} |", case.name, case.clocks);
    for measured in &mut measured {
        let ratios = measured.shared.iter().zip(&measured.counter);
        let mut ratios: Vec<_> = ratios.map(|(shared, counter)| shared / counter).collect();
        row += &format!(
            " {} | {:.1} |",
            spread(&mut measured.shared),
            median(&mut ratios)
        );
    }
    row + &format!(" {:.1} |", median(&mut measured[1].own))
}

/// Nanoseconds of a core per operation, while all of them run.
fn timed(works: impl Iterator<Item = Work>, round: Duration, runtime: &Handle) -> f64 {
    let works: Vec<_> = works.collect();
    let threads = works.len();
    let (barrier, ended) = (&Barrier::new(threads + 1), &AtomicBool::new(false));
    let per_nano: f64 = std::thread::scope(|scope| {
        let threads = works.into_iter().zip(0..).map(|(mut work, number)| {
            scope.spawn(move || {
                let _timers = runtime.enter();
                pin_to_core(number);
                work(WARM_UP);
                barrier.wait();
                let (began, mut done) = (Instant::now(), 0);
                while !ended.load(Ordering::Relaxed) {
                    work(CHUNK);
                    done += CHUNK;
                }
                done as f64 / began.elapsed().as_nanos() as f64
            })
        });
        let threads: Vec<_> = threads.collect();
        barrier.wait();
        std::thread::sleep(round);
        ended.store(true, Ordering::Relaxed);
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    threads.min(cores().len()) as f64 / per_nano
}

/// Otherwise the scheduler may leave threads on one core, where nothing is contended.
fn pin_to_core(number: usize) {
    let cores = cores();
    if !cores.is_empty() {
        core_affinity::set_for_current(cores[number % cores.len()]);
    }
}

fn cores() -> &'static [CoreId] {
    static CORES: LazyLock<Vec<CoreId>> =
        LazyLock::new(|| core_affinity::get_core_ids().unwrap_or_default());
    &CORES
}

/// Alone in its cache lines.
#[derive(Default)]
#[repr(align(128))]
struct Aligned(AtomicU64);

fn count(counter: Arc<Aligned>) -> impl FnMut(u64) {
    move |count| {
        for _ in 0..count {
            black_box(counter.0.fetch_add(1, Ordering::Relaxed));
        }
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn spread(values: &mut [f64]) -> String {
    let median = median(values);
    let (least, most) = (values[0], values[values.len() - 1]);
    format!("{median:.1} ({least:.1} to {most:.1})")
}

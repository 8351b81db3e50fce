//! Runs the scenarios and prints their tables: `cargo run --release [--seed N] [--out DIR] [SCENARIO ...]`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use std::{env, fs, thread};

use tower_simulator::score::Score;
use tower_simulator::{plot, scenarios, sim, table};

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    match arguments(env::args().skip(1)).and_then(|arguments| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

struct Arguments {
    seed: u64,
    out: PathBuf,
    names: Vec<String>,
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<Arguments, Error> {
    let mut arguments = Arguments {
        seed: 1,
        out: "plots".into(),
        names: Vec::new(),
    };
    while let Some(argument) = given.next() {
        let mut value = || {
            given
                .next()
                .ok_or_else(|| format!("{argument} needs a value"))
        };
        match argument.as_str() {
            "--seed" => arguments.seed = value()?.parse()?,
            "--out" => arguments.out = value()?.into(),
            option if option.starts_with('-') => {
                return Err(format!("unknown option {option}; {USAGE}").into());
            }
            _ => arguments.names.push(argument),
        }
    }
    Ok(arguments)
}

fn run(Arguments { seed, out, names }: &Arguments) -> Result<(), Error> {
    let began = Instant::now();
    let mut scenarios = scenarios::all(*seed);
    let known: Vec<_> = scenarios
        .iter()
        .map(|scenario| scenario.name)
        .chain([DISTRIBUTION, CONNECTIONS, OVERLOAD])
        .collect();
    if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("unknown scenario {name}; known are {}", known.join(", ")).into());
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|other| other == name);
    scenarios.retain(|scenario| wanted(scenario.name));

    // The runs are independent, so the results do not depend on how they are distributed over threads.
    let runs: Vec<_> = scenarios
        .iter()
        .flat_map(|scenario| scenario.rows.iter().map(move |row| (scenario, row)))
        .collect();
    let base = tokio::time::Instant::now();
    let next = AtomicUsize::new(0);
    let scores: Vec<Mutex<Option<Result<Score, _>>>> =
        runs.iter().map(|_| Mutex::new(None)).collect();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((number, (scenario, row))) = take(&next, &runs) {
                    let score = sim::run(scenario, row, *seed, base);
                    if let Ok(mut slot) = scores[number].lock() {
                        *slot = Some(score);
                    }
                }
            });
        }
    });

    fs::create_dir_all(out)?;
    let mut scores = scores
        .into_iter()
        .filter_map(|score| score.into_inner().ok().flatten());
    for scenario in &scenarios {
        let scores: Vec<_> = scores
            .by_ref()
            .take(scenario.rows.len())
            .collect::<Result<_, _>>()?;
        println!("{}", table::of_scores(scenario, &scores));
        fs::write(
            out.join(scenario.name).with_extension("svg"),
            plot::svg(scenario, &scores),
        )?;
    }
    if wanted(DISTRIBUTION) {
        println!("{}", table::of_distribution(*seed, base)?);
    }
    if wanted(CONNECTIONS) {
        println!("{}", table::of_connections());
    }
    if wanted(OVERLOAD) {
        println!("{}", table::of_overload(*seed, base)?);
    }
    eprintln!(
        "{} runs in {:.1} s",
        runs.len(),
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

fn take<T: Copy>(next: &AtomicUsize, runs: &[T]) -> Option<(usize, T)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    runs.get(number).map(|run| (number, *run))
}

const USAGE: &str = "the arguments are --seed NUMBER, --out DIRECTORY, and names of scenarios";
const CONNECTIONS: &str = "connections";
const DISTRIBUTION: &str = "distribution";
const OVERLOAD: &str = "overload";
const THREADS: usize = 2;

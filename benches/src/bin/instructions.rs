//! `cargo run --release --bin instructions`: counts the instructions of a request through each of our layers with
//! callgrind, and compares them with `instructions.txt`. They do not depend on the load of the machine.
//!
//! With `--update` it writes that file. With `run CASE REQUESTS` it only runs a case, for a profiler.

use std::error::Error;
use std::fmt::Write as _;
use std::process::{Command, ExitCode};
use std::{env, fs};

use tower_benches::{Case, ours};

const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");
/// The tolerance of a count in both directions: a decrease should be recorded too.
const TOLERANCE: f64 = 0.05;
/// A difference below this number of instructions is rounding.
const LEAST: f64 = 2.0;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => compare(),
        ["--update"] => update(),
        ["run", name, requests] => {
            let case = cases().find(|case| case.name == name);
            (case.ok_or("there is no case of that name")?.prepare)()(requests.parse()?);
            Ok(ExitCode::SUCCESS)
        }
        _ => Err("usage: instructions [--update | run CASE REQUESTS]".into()),
    }
}

/// The cases whose threads do not depend on each other's speed.
fn cases() -> impl Iterator<Item = &'static Case> {
    ours::ALL
        .iter()
        .filter(|case| !case.name.ends_with("two threads"))
}

fn compare() -> Result<ExitCode, Box<dyn Error>> {
    let reference = fs::read_to_string(REFERENCE)?;
    let mut known = Vec::new();
    for line in reference.lines() {
        let (count, name) = line
            .trim()
            .split_once(' ')
            .ok_or("a line is no count and a name")?;
        known.push((name, count.parse::<f64>()?));
    }
    let mut off = 0;
    for case in cases() {
        let count = count(case)?;
        let expected = known
            .iter()
            .find(|(name, _)| *name == case.name)
            .map(|(_, expected)| *expected);
        let verdict = match expected {
            Some(expected) if (count - expected).abs() <= (expected * TOLERANCE).max(LEAST) => "",
            Some(_) => "  more than 5 % off",
            None => "  not in instructions.txt",
        };
        off += usize::from(!verdict.is_empty());
        let expected = expected.map_or("-".to_owned(), |expected| expected.to_string());
        println!("{count:>6.0} of {expected:>6}  {}{verdict}", case.name);
    }
    let gone = known
        .iter()
        .filter(|(name, _)| !cases().any(|case| case.name == *name));
    for (name, _) in gone {
        println!("there is no case {name:?}");
        off += 1;
    }
    if off > 0 {
        println!("if that is as it should be: cargo run --release --bin instructions -- --update");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn update() -> Result<ExitCode, Box<dyn Error>> {
    let mut reference = String::new();
    for case in cases() {
        writeln!(reference, "{:>6.0} {}", count(case)?, case.name)?;
    }
    print!("{reference}");
    fs::write(REFERENCE, reference)?;
    Ok(ExitCode::SUCCESS)
}

/// Instructions per request: the difference between two runs, divided by the difference of their requests.
fn count(case: &Case) -> Result<f64, Box<dyn Error>> {
    const FEW: u64 = 1_000;
    const MANY: u64 = 21_000;
    let few = collected(case.name, FEW)?;
    let many = collected(case.name, MANY)?;
    Ok(many.saturating_sub(few) as f64 / (MANY - FEW) as f64)
}

fn collected(name: &str, requests: u64) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(["run", name, &requests.to_string()])
        .output()
        .map_err(|error| format!("valgrind, which has to be installed: {error}"))?;
    let report = String::from_utf8_lossy(&output.stderr);
    let collected = report
        .lines()
        .find_map(|line| line.split_once("Collected : "))
        .filter(|_| output.status.success());
    match collected {
        Some((_, count)) => Ok(count.trim().parse()?),
        None => Err(format!("{name}: {}\n{report}", output.status).into()),
    }
}

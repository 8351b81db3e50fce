//! Facts about the registry's tower and about ours, one per line, which `run` compares.
//!
//! - `interface paths DIRECTORY` prints the facts in rustdoc's JSON of `tower` and of the crates whose items it re-exports;
//! - `interface features REGISTRY MANIFEST` prints the facts about the features of tower 0.5.3, on which the crate at `REGISTRY`
//!   depends, if the crate at `MANIFEST` enables them;
//! - `interface compare REGISTRY OURS DIFFERENCES` reads two files of facts, and reports the differences.

mod compare;
mod features;
mod items;
mod members;
mod rustdoc;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let facts = match args[..] {
        ["paths", directory] => items::facts(directory.as_ref()),
        ["features", registry, manifest] => features::facts(registry.as_ref(), manifest.as_ref()),
        ["compare", registry, ours, differences] => {
            let [registry, ours, differences] = [registry, ours, differences].map(|path| {
                std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"))
            });
            let faults = compare::faults(&registry, &ours, &differences);
            faults.iter().for_each(|fault| println!("{fault}"));
            return ExitCode::from(u8::from(!faults.is_empty()));
        }
        _ => panic!("unknown arguments {args:?}"),
    };
    facts.iter().for_each(|fact| println!("{fact}"));
    ExitCode::SUCCESS
}

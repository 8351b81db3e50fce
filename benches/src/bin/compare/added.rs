//! The layers that the registry's tower does not have.

use tower_benches::Case;
use tower_benches::added::{ALL, Added};

use crate::{Measured, ROUNDS};

/// Measures the cases whose names contain one of `names`, or all.
pub fn run(names: &[String]) {
    println!(
        "| case | one caller, ns | asked for, at most | 64 callers, two threads, ns | allocations |"
    );
    println!("|---|---|---|---|---|");
    for added in ALL {
        if names.is_empty() || names.iter().any(|name| added.name.contains(&**name)) {
            println!("{}", row(added));
        }
    }
}

fn row(added: &Added) -> String {
    let mut both = [added.prepare, added.many].map(|prepare| {
        Measured::new(&Case {
            name: added.name,
            target: f64::INFINITY,
            prepare,
        })
    });
    for _ in 0..ROUNDS {
        both.iter_mut().for_each(Measured::round);
    }
    let [one, many] = &mut both;
    format!(
        "| {} | {:.1} | {:.0} | {:.1} | {:.2} |",
        added.name,
        one.median(),
        added.target,
        many.median(),
        one.allocations.max(many.allocations),
    )
}

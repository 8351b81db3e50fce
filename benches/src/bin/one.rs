//! `one ours|registry CASE REQUESTS`: runs one case, for a profiler.

use tower_benches::{ours, registry};

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [tower, name, requests] = &arguments[..] else {
        panic!("three arguments: ours or registry, the case, how many requests");
    };
    let cases = if tower == "ours" {
        ours::ALL
    } else {
        registry::ALL
    };
    let case = cases
        .iter()
        .find(|case| case.name == name)
        .expect("a case of that name");
    (case.prepare)()(requests.parse().expect("a number of requests"));
}

//! `cargo bench`: each case on both towers. Compare only what one run printed, and quote ratios.

use std::time::Instant;

use criterion::{Bencher, Criterion, criterion_group, criterion_main};
use tower_benches::{Case, added, ours, registry};

fn layers(criterion: &mut Criterion) {
    for (ours, registry) in ours::ALL.iter().zip(registry::ALL) {
        let mut group = criterion.benchmark_group(ours.name);
        for (tower, Case { prepare, .. }) in [("ours", ours), ("registry", registry)] {
            let run = prepare();
            group.bench_function(tower, |bencher| measure(bencher, run));
        }
    }
    for case in added::ALL {
        let run = (case.prepare)();
        criterion.bench_function(case.name, |bencher| measure(bencher, run));
    }
}

fn measure(bencher: &mut Bencher<'_>, mut run: Box<dyn FnMut(u64)>) {
    run(10_000);
    bencher.iter_custom(|count| {
        let start = Instant::now();
        run(count);
        start.elapsed()
    });
}

criterion_group!(benches, layers);
criterion_main!(benches);

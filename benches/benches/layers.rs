//! `cargo bench`: each case on both towers. Compare only what one run printed, and quote ratios.

use std::time::Instant;

use criterion::{Bencher, Criterion, criterion_group, criterion_main};
use tower_benches::{Case, added, ours, registry};

fn layers(criterion: &mut Criterion) {
    for (ours, registry) in ours::ALL.iter().zip(registry::ALL) {
        let mut group = criterion.benchmark_group(ours.name);
        for (tower, Case { prepare, .. }) in [("ours", ours), ("registry", registry)] {
            let mut run = prepare();
            run(10_000);
            group.bench_function(tower, |bencher| measure(bencher, &mut run));
        }
    }
    for case in added::ALL {
        let mut run = (case.prepare)();
        run(10_000);
        criterion.bench_function(case.name, |bencher| measure(bencher, &mut run));
    }
}

fn measure(bencher: &mut Bencher<'_>, run: &mut dyn FnMut(u64)) {
    bencher.iter_custom(|count| {
        let start = Instant::now();
        run(count);
        start.elapsed()
    });
}

criterion_group!(benches, layers);
criterion_main!(benches);

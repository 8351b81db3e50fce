//! What a request through each layer costs, ours beside the registry's tower 0.5.3, around a service that is ready at
//! once. Run `cargo bench` in this directory; compare only what one run printed, and quote ratios.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use tokio::runtime::{Builder, Runtime};

fn echo(n: u64) -> Ready<Result<u64, Infallible>> {
    ready(Ok(n))
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn two_threads() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// Defines the same benchmarks on the crate `$tower`.
macro_rules! layers {
    ($name:ident, $tower:ident) => {
        mod $name {
            use super::*;
            use $tower::balance::p2c::Balance;
            use $tower::buffer::Buffer;
            use $tower::discover::ServiceList;
            use $tower::limit::ConcurrencyLimit;
            use $tower::load::Constant;
            use $tower::load_shed::LoadShed;
            use $tower::timeout::Timeout;
            use $tower::{Service, ServiceExt, service_fn};

            const NAME: &str = stringify!($name);

            /// Requests one after the other.
            fn one_caller<S>(
                criterion: &mut Criterion,
                group: &str,
                runtime: &Runtime,
                make: impl Fn() -> S,
            ) where
                S: Service<u64, Response = u64, Error: std::fmt::Debug>,
            {
                let mut service = runtime.block_on(async { make() });
                criterion
                    .benchmark_group(group)
                    .bench_function(NAME, |bencher| {
                        bencher.iter_custom(|count| {
                            runtime.block_on(async {
                                let start = std::time::Instant::now();
                                for n in 0..count {
                                    let response =
                                        service.ready().await.unwrap().call(n).await.unwrap();
                                    assert_eq!(std::hint::black_box(response), n);
                                }
                                start.elapsed()
                            })
                        });
                    });
            }

            fn endpoints(
                count: u64,
            ) -> ServiceList<
                Vec<
                    Constant<
                        $tower::util::ServiceFn<fn(u64) -> Ready<Result<u64, Infallible>>>,
                        u64,
                    >,
                >,
            > {
                ServiceList::new::<u64>(
                    (0..count)
                        .map(|load| Constant::new(service_fn(echo as fn(u64) -> _), load))
                        .collect(),
                )
            }

            pub(super) fn all(c: &mut Criterion) {
                let rt = current_thread();
                one_caller(c, "timeout", &rt, || {
                    Timeout::new(service_fn(echo), Duration::from_secs(9))
                });
                one_caller(c, "concurrency limit", &rt, || {
                    ConcurrencyLimit::new(service_fn(echo), 10)
                });
                one_caller(c, "load shed", &rt, || LoadShed::new(service_fn(echo)));
                one_caller(c, "balance of 10", &rt, || Balance::new(endpoints(10)));
                one_caller(c, "balance of 1000", &rt, || Balance::new(endpoints(1000)));
                one_caller(c, "buffer, current thread", &rt, || {
                    Buffer::new(service_fn(echo), 1024)
                });
                one_caller(c, "buffer, two threads", &two_threads(), || {
                    Buffer::new(service_fn(echo), 1024)
                });
            }
        }
    };
}

layers!(ours, tower);
layers!(registry, upstream);

criterion_group!(benches, ours::all, registry::all);
criterion_main!(benches);

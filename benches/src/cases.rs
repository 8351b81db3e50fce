//! The cases, the same for both towers.

use std::convert::Infallible;
use std::future::Ready;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::Case;
use crate::services::{current_thread, echo, echo_later, two_threads};

/// Defines the cases for the crate `$tower`.
macro_rules! cases {
    ($name:ident, $tower:ident, $budgeted:expr) => {
        pub mod $name {
            use super::*;
            use $tower::balance::p2c::Balance;
            use $tower::buffer::Buffer;
            use $tower::discover::{Change, ServiceList};
            use $tower::hedge::{self, Hedge};
            use $tower::limit::{ConcurrencyLimit, RateLimit, rate::Rate};
            use $tower::load::{CompleteOnResponse, Constant, PeakEwma};
            use $tower::load_shed::LoadShed;
            use $tower::retry::{self, Retry};
            use $tower::steer::Steer;
            use $tower::timeout::Timeout;
            use $tower::util::{BoxCloneService, BoxService, ServiceFn};
            use $tower::{Service, ServiceBuilder, ServiceExt, service_fn};

            const HOUR: Duration = Duration::from_secs(3600);

            pub(crate) type Echo = ServiceFn<fn(u64) -> Ready<Result<u64, Infallible>>>;

            pub(crate) fn echo_fn() -> Echo {
                service_fn(echo as fn(u64) -> _)
            }

            /// One request after the other.
            pub(crate) fn one<S>(runtime: Runtime, make: impl FnOnce() -> S) -> Box<dyn FnMut(u64)>
            where
                S: Service<u64, Response = u64, Error: std::fmt::Debug> + 'static,
            {
                let mut service = runtime.block_on(async { make() });
                Box::new(move |count| {
                    runtime.block_on(async {
                        for n in 0..count {
                            let response = service.ready().await.unwrap().call(n).await.unwrap();
                            black_box(response);
                        }
                    });
                })
            }

            /// One request after the other, each response in its own memory, as in most servers: otherwise the compiler
            /// removes a layer that does nothing, and there is nothing to measure.
            fn placed<S>(runtime: Runtime, make: impl FnOnce() -> S) -> Box<dyn FnMut(u64)>
            where
                S: Service<u64, Response = u64, Error: std::fmt::Debug> + 'static,
            {
                let mut service = runtime.block_on(async { make() });
                Box::new(move |count| {
                    runtime.block_on(async {
                        for n in 0..count {
                            let response = pin!(service.ready().await.unwrap().call(n));
                            black_box(black_box(response).await.unwrap());
                        }
                    });
                })
            }

            /// One request after the other, in a spawned task, as in a server: there a second poll costs a pass of the
            /// scheduler, while in `block_on` the runtime checks its timers and sockets.
            fn spawned<S>(runtime: Runtime, make: impl FnOnce() -> S) -> Box<dyn FnMut(u64)>
            where
                S: Service<u64, Response = u64, Error: std::fmt::Debug, Future: Send>
                    + Send
                    + 'static,
            {
                let mut service = Some(runtime.block_on(async { make() }));
                Box::new(move |count| {
                    let mut used = service.take().expect("it comes back");
                    let task = runtime.spawn(async move {
                        for n in 0..count {
                            let response = used.ready().await.unwrap().call(n).await.unwrap();
                            black_box(response);
                        }
                        used
                    });
                    service = Some(runtime.block_on(task).unwrap());
                })
            }

            /// 64 tasks with a clone each.
            pub(crate) fn many<S>(runtime: Runtime, make: impl FnOnce() -> S) -> Box<dyn FnMut(u64)>
            where
                S: Service<u64, Response = u64, Error: std::fmt::Debug, Future: Send>
                    + Clone
                    + Send
                    + 'static,
            {
                let service = runtime.block_on(async { make() });
                Box::new(move |count| {
                    let tasks = (0..64).map(|_| {
                        let mut service = service.clone();
                        runtime.spawn(async move {
                            for n in 0..count.div_ceil(64) {
                                let response =
                                    service.ready().await.unwrap().call(n).await.unwrap();
                                black_box(response);
                            }
                        })
                    });
                    let tasks = tasks.collect::<Vec<_>>();
                    runtime.block_on(async {
                        for task in tasks {
                            task.await.unwrap();
                        }
                    });
                })
            }

            fn constants(count: u64) -> Balance<ServiceList<Vec<Constant<Echo, u64>>>, u64> {
                let endpoints = (0..count).map(|load| Constant::new(echo_fn(), load));
                Balance::new(ServiceList::new::<u64>(endpoints.collect()))
            }

            fn measured(count: u64) -> Balance<ServiceList<Vec<PeakEwma<Echo>>>, u64> {
                let millisecond = Duration::from_millis(1);
                let endpoints = (0..count).map(|_| {
                    PeakEwma::new(echo_fn(), millisecond, 1e10, CompleteOnResponse::default())
                });
                Balance::new(ServiceList::new::<u64>(endpoints.collect()))
            }

            fn stack() -> impl Service<
                u64,
                Response = u64,
                Error: std::fmt::Debug,
                Future = impl Future<Output: Send> + Send,
            > + Clone
            + Send
            + 'static {
                ServiceBuilder::new()
                    .buffer(1024)
                    .timeout(HOUR)
                    .concurrency_limit(100)
                    .service(constants(10))
            }

            /// Hedges no request.
            #[derive(Clone)]
            struct Once;

            impl<E> retry::Policy<u64, u64, E> for Once {
                type Future = Ready<()>;

                fn retry(&mut self, _: &mut u64, _: &mut Result<u64, E>) -> Option<Self::Future> {
                    None
                }

                fn clone_request(&mut self, request: &u64) -> Option<u64> {
                    Some(*request)
                }
            }

            impl hedge::Policy<u64> for Once {
                fn clone_request(&self, request: &u64) -> Option<u64> {
                    Some(*request)
                }

                fn can_retry(&self, _: &u64) -> bool {
                    true
                }
            }

            /// Removes one of this number of endpoints at each poll, and adds it again.
            struct Churn {
                endpoints: u64,
                next: u64,
                step: u8,
            }

            impl futures::Stream for Churn {
                type Item = Result<Change<u64, Constant<Echo, u64>>, Infallible>;

                fn poll_next(
                    mut self: Pin<&mut Self>,
                    cx: &mut Context<'_>,
                ) -> Poll<Option<Self::Item>> {
                    let insert = |key| Change::Insert(key, Constant::new(echo_fn(), key));
                    if self.next < self.endpoints {
                        self.next += 1;
                        return Poll::Ready(Some(Ok(insert(self.next - 1))));
                    }
                    self.step = (self.step + 1) % 3;
                    let key = self.next % self.endpoints;
                    match self.step {
                        1 => Poll::Ready(Some(Ok(Change::Remove(key)))),
                        2 => {
                            self.next += 1;
                            Poll::Ready(Some(Ok(insert(key))))
                        }
                        _ => {
                            // For the next request.
                            cx.waker().wake_by_ref();
                            Poll::Pending
                        }
                    }
                }
            }

            pub const ALL: &[Case] = &[
                Case {
                    name: "buffer, one caller, two threads",
                    target: 1.0 / 200.0,
                    prepare: || one(two_threads(), || Buffer::new(echo_fn(), 1024)),
                },
                Case {
                    name: "buffer, one caller, current thread",
                    target: 1.0 / 10.0,
                    prepare: || one(current_thread(), || Buffer::new(echo_fn(), 1024)),
                },
                Case {
                    name: "buffer, 64 callers, two threads",
                    target: 1.0 / 4.0,
                    prepare: || many(two_threads(), || Buffer::new(echo_fn(), 1024)),
                },
                Case {
                    name: "balance of 10",
                    target: 1.0 / 6.0,
                    prepare: || one(current_thread(), || constants(10)),
                },
                Case {
                    name: "balance of 10,000",
                    target: 1.0 / 4.0,
                    prepare: || one(current_thread(), || constants(10_000)),
                },
                Case {
                    name: "balance of 10 by peak EWMA",
                    target: 1.0 / 4.0,
                    prepare: || one(current_thread(), || measured(10)),
                },
                Case {
                    name: "timeout, answered at once",
                    target: 1.0 / 3.0,
                    prepare: || one(current_thread(), || Timeout::new(echo_fn(), HOUR)),
                },
                Case {
                    name: "timeout, answered at the second poll",
                    target: 1.0 / 1.5,
                    prepare: || {
                        spawned(current_thread(), || {
                            Timeout::new(service_fn(echo_later), HOUR)
                        })
                    },
                },
                Case {
                    name: "rate limit",
                    target: 1.0 / 2.0,
                    prepare: || {
                        one(current_thread(), || {
                            RateLimit::new(echo_fn(), Rate::new(1 << 40, Duration::from_secs(1)))
                        })
                    },
                },
                Case {
                    name: "concurrency limit",
                    target: 1.0 / 1.5,
                    prepare: || one(current_thread(), || ConcurrencyLimit::new(echo_fn(), 100)),
                },
                Case {
                    name: "stack, one caller, current thread",
                    target: 1.0 / 6.0,
                    prepare: || one(current_thread(), stack),
                },
                Case {
                    name: "stack, one caller, two threads",
                    target: 1.0 / 100.0,
                    prepare: || one(two_threads(), stack),
                },
                Case {
                    name: "stack, 64 callers, two threads",
                    target: 1.0 / 4.0,
                    prepare: || many(two_threads(), stack),
                },
                Case {
                    name: "hedge, not sent twice",
                    target: 1.0,
                    prepare: || {
                        placed(current_thread(), || {
                            let latencies = &[1000; 100];
                            Hedge::new_with_mock_latencies(
                                echo_fn(),
                                Once,
                                10,
                                0.99,
                                HOUR,
                                latencies,
                            )
                        })
                    },
                },
                Case {
                    name: "steer to one of 4",
                    target: 1.0,
                    prepare: || {
                        placed(current_thread(), || {
                            Steer::new([0; 4].map(|_| echo_fn()), |n: &u64, _: &[Echo]| {
                                *n as usize % 4
                            })
                        })
                    },
                },
                Case {
                    name: "load shed",
                    target: 1.0,
                    prepare: || placed(current_thread(), || LoadShed::new(echo_fn())),
                },
                Case {
                    name: "retry, without a retry",
                    target: 1.0,
                    prepare: || placed(current_thread(), || Retry::new(Once, echo_fn())),
                },
                Case {
                    name: "retry by a classifier, within a budget, without a retry",
                    target: 1.0 / 2.0,
                    prepare: || placed(current_thread(), || Retry::new($budgeted, echo_fn())),
                },
                Case {
                    name: "box service",
                    target: 1.0,
                    prepare: || one(current_thread(), || BoxService::new(echo_fn())),
                },
                Case {
                    name: "box clone service",
                    target: 1.0,
                    prepare: || one(current_thread(), || BoxCloneService::new(echo_fn())),
                },
                Case {
                    name: "one of 10,000 endpoints replaced per request",
                    target: 1.0 / 2.0,
                    prepare: || {
                        one(current_thread(), || {
                            Balance::new(Churn {
                                endpoints: 10_000,
                                next: 0,
                                step: 0,
                            })
                        })
                    },
                },
                Case {
                    name: "bare service",
                    target: f64::INFINITY,
                    prepare: || one(current_thread(), echo_fn),
                },
                Case {
                    name: "bare service, answering at the second poll",
                    target: f64::INFINITY,
                    prepare: || spawned(current_thread(), || service_fn(echo_later)),
                },
            ];
        }
    };
}

cases!(ours, tower, {
    tower::retry::RetryPolicy::builder()
        .retry_if(|_: &u64, result: Result<&u64, &Infallible>| *result.unwrap() > MOST)
        .build()
});
cases!(registry, upstream, Budgeted::default());

/// Code that only the registry's tower needs.
#[derive(Clone, Default)]
struct Budgeted(Arc<upstream::retry::budget::TpsBudget>);

impl upstream::retry::Policy<u64, u64, Infallible> for Budgeted {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut u64, result: &mut Result<u64, Infallible>) -> Option<Self::Future> {
        use upstream::retry::budget::Budget;

        if matches!(result, Ok(response) if *response > MOST) {
            return self.0.withdraw().then(|| std::future::ready(()));
        }
        self.0.deposit();
        None
    }

    fn clone_request(&mut self, request: &u64) -> Option<u64> {
        Some(*request)
    }
}

/// No request is over it.
const MOST: u64 = u64::MAX - 1;

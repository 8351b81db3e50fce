//! Many tasks that share one service, with both versions of tower.

use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::services::{echo, echo_later};

pub const THREADS: [usize; 2] = [2, 4];
pub const CALLERS: [u64; 4] = [2, 8, 64, 512];

/// Latencies in nanoseconds.
pub type Latencies = Arc<Mutex<Vec<u64>>>;

/// The service that the tasks share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A buffer around a service that responds immediately.
    Buffer,
    /// A buffer, a timeout, a concurrency limit and a balancer of ten.
    Stack,
    /// A buffer around a service that responds at the second poll.
    BufferLater,
    StackLater,
    /// That service without a layer: the cost of the runtime and the operating system.
    BareLater,
}

impl Shape {
    pub const ALL: [Self; 5] = [
        Self::Buffer,
        Self::Stack,
        Self::BufferLater,
        Self::StackLater,
        Self::BareLater,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Buffer => "buffer",
            Self::Stack => "stack",
            Self::BufferLater => "buffer, pending once",
            Self::StackLater => "stack, pending once",
            Self::BareLater => "bare service, pending once",
        }
    }
}

macro_rules! towers {
    ($name:ident, $tower:ident) => {
        pub mod $name {
            use super::*;
            use $tower::balance::p2c::Balance;
            use $tower::buffer::Buffer;
            use $tower::discover::ServiceList;
            use $tower::load::{CompleteOnResponse, PendingRequests};
            use $tower::{Service, ServiceBuilder, ServiceExt, service_fn};

            /// Returns a function that sends a number of requests to `shape`, shared by `callers` tasks. It records latencies
            /// in nanoseconds in `latencies` if that is `Some`.
            pub fn prepare<'a>(
                runtime: &'a Runtime,
                shape: Shape,
                callers: u64,
                latencies: Option<&'a Latencies>,
            ) -> Box<dyn FnMut(u64) + 'a> {
                let _guard = runtime.enter();
                macro_rules! stack {
                    ($endpoint:expr) => {
                        ServiceBuilder::new()
                            .buffer(1024)
                            .timeout(Duration::from_secs(3600))
                            .concurrency_limit(1024)
                            .service(Balance::new(ServiceList::new::<u64>(
                                (0..10)
                                    .map(|_| {
                                        PendingRequests::new(
                                            $endpoint,
                                            CompleteOnResponse::default(),
                                        )
                                    })
                                    .collect::<Vec<_>>(),
                            )))
                    };
                }
                match shape {
                    Shape::Buffer => many(
                        runtime,
                        Buffer::new(service_fn(echo), 1024),
                        callers,
                        latencies,
                    ),
                    Shape::BufferLater => many(
                        runtime,
                        Buffer::new(service_fn(echo_later), 1024),
                        callers,
                        latencies,
                    ),
                    Shape::BareLater => many(runtime, service_fn(echo_later), callers, latencies),
                    Shape::Stack => many(runtime, stack!(service_fn(echo)), callers, latencies),
                    Shape::StackLater => {
                        many(runtime, stack!(service_fn(echo_later)), callers, latencies)
                    }
                }
            }

            fn many<'a, S>(
                runtime: &'a Runtime,
                service: S,
                callers: u64,
                latencies: Option<&'a Latencies>,
            ) -> Box<dyn FnMut(u64) + 'a>
            where
                S: Service<u64, Response = u64, Error: std::fmt::Debug, Future: Send>
                    + Clone
                    + Send
                    + 'static,
            {
                Box::new(move |count| {
                    let tasks = (0..callers).map(|_| {
                        let mut service = service.clone();
                        let latencies = latencies.cloned();
                        runtime.spawn(async move {
                            let Some(latencies) = latencies else {
                                for n in 0..count.div_ceil(callers) {
                                    let response =
                                        service.ready().await.unwrap().call(n).await.unwrap();
                                    black_box(response);
                                }
                                return;
                            };
                            let mut mine = Vec::with_capacity(count.div_ceil(callers) as usize);
                            for n in 0..count.div_ceil(callers) {
                                let start = Instant::now();
                                let response =
                                    service.ready().await.unwrap().call(n).await.unwrap();
                                mine.push(start.elapsed().as_nanos() as u64);
                                black_box(response);
                            }
                            latencies.lock().unwrap().extend(mine);
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
        }
    };
}

towers!(ours, tower);
towers!(registry, upstream);

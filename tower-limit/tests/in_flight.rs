//! Whatever callers do with their handles and futures, no limit of requests in flight is exceeded, and all permits return.
#![cfg(all(feature = "concurrency", feature = "rate"))]

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::Semaphore;
use tower_layer::Layer;
use tower_limit::keyed::{KeyPermits, KeyedLimit};
use tower_limit::weighted::WeightedConcurrencyLimitLayer;
use tower_limit::{BoxError, ConcurrencyLimit};
use tower_service::Service;
use tower_util::{BoxCloneService, ServiceExt};

/// Of each limit, and of each key.
const MAX: u32 = 3;

#[derive(Clone, Default)]
struct Request {
    key: u32,
    finished: Arc<AtomicBool>,
}

/// Counts the requests in flight, by key.
#[derive(Clone, Default)]
struct Counter(Arc<Mutex<HashMap<u32, u32>>>);

impl Counter {
    fn by_key(&self) -> HashMap<u32, u32> {
        self.0.lock().unwrap().clone()
    }
}

struct InFlight {
    request: Request,
    counter: Counter,
}

impl Service<Request> for Counter {
    type Response = ();
    type Error = BoxError;
    type Future = InFlight;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> InFlight {
        *self.0.lock().unwrap().entry(request.key).or_default() += 1;
        InFlight {
            request,
            counter: self.clone(),
        }
    }
}

impl Future for InFlight {
    type Output = Result<(), BoxError>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if self.request.finished.load(Ordering::Relaxed) {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut by_key = self.counter.0.lock().unwrap();
        *by_key.get_mut(&self.request.key).unwrap() -= 1;
    }
}

type Limited = BoxCloneService<Request, (), BoxError>;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Counts {
    All,
    EachKey,
    /// One more than its key.
    Weights,
}

const LIMITS: &[(Counts, fn(Counter) -> Limited)] = &[
    (Counts::All, |inner| {
        ConcurrencyLimit::new(inner, MAX as usize).boxed_clone()
    }),
    (Counts::All, |inner| {
        ConcurrencyLimit::new(inner, MAX as usize)
            .shed()
            .boxed_clone()
    }),
    (Counts::All, |inner| {
        let semaphore = Arc::new(Semaphore::new(MAX as usize));
        ConcurrencyLimit::with_semaphore(inner, semaphore)
            .shed()
            .boxed_clone()
    }),
    (Counts::All, |inner| {
        ConcurrencyLimit::new(inner, MAX as usize)
            .max_wait(Duration::from_millis(50))
            .boxed_clone()
    }),
    (Counts::EachKey, |inner| {
        let permits = KeyPermits::new(MAX as usize, 2);
        KeyedLimit::new(inner, permits, |request: &Request| request.key).boxed_clone()
    }),
    (Counts::Weights, |inner| {
        let weight = |request: &Request| request.key + 1;
        WeightedConcurrencyLimitLayer::new(MAX, weight)
            .layer(inner)
            .boxed_clone()
    }),
    (Counts::Weights, |inner| {
        let weight = |request: &Request| request.key + 1;
        WeightedConcurrencyLimitLayer::new(MAX, weight)
            .max_wait(Duration::from_millis(50))
            .layer(inner)
            .boxed_clone()
    }),
];

#[derive(Clone, Copy, Debug)]
enum Step {
    Clone(usize),
    DropHandle(usize),
    Poll(usize),
    /// If the handle is ready.
    Call(usize, u32),
    PollResponse(usize),
    Finish(usize),
    Cancel(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let any = any::<usize>;
    prop_oneof![
        1 => any().prop_map(Step::Clone),
        1 => any().prop_map(Step::DropHandle),
        6 => any().prop_map(Step::Poll),
        6 => (any(), 0..4_u32).prop_map(|(handle, key)| Step::Call(handle, key)),
        2 => any().prop_map(Step::PollResponse),
        1 => any().prop_map(Step::Finish),
        1 => any().prop_map(Step::Cancel),
        1 => (0..40_u64).prop_map(Step::Wait),
    ]
}

struct Handle {
    service: Limited,
    ready: bool,
}

struct Response {
    future: <Limited as Service<Request>>::Future,
    finished: Arc<AtomicBool>,
}

struct World {
    counter: Counter,
    counts: Counts,
    handles: Vec<Handle>,
    responses: Vec<Response>,
}

impl World {
    fn new((counts, make): (Counts, fn(Counter) -> Limited)) -> Self {
        let counter = Counter::default();
        let service = make(counter.clone());
        let handles = (0..6).map(|_| Handle {
            service: service.clone(),
            ready: false,
        });
        Self {
            handles: handles.collect(),
            counter,
            counts,
            responses: Vec::new(),
        }
    }

    async fn take(&mut self, step: Step) {
        let cx = &mut Context::from_waker(Waker::noop());
        let (handles, responses) = (self.handles.len(), self.responses.len());
        match step {
            Step::Clone(of) => self.handles.push(Handle {
                service: self.handles[of % handles].service.clone(),
                ready: false,
            }),
            Step::DropHandle(which) if handles > 1 => {
                self.handles.swap_remove(which % handles);
            }
            Step::Poll(which) => {
                let handle = &mut self.handles[which % handles];
                handle.ready = handle.service.poll_ready(cx).is_ready();
            }
            Step::Call(which, key) if self.handles[which % handles].ready => {
                self.call(which % handles, key);
            }
            Step::PollResponse(which) if responses > 0 => {
                let which = which % responses;
                if self.responses[which].future.as_mut().poll(cx).is_ready() {
                    self.responses.swap_remove(which);
                }
            }
            Step::Finish(which) if responses > 0 => {
                let response = &self.responses[which % responses];
                response.finished.store(true, Ordering::Relaxed);
            }
            Step::Cancel(which) if responses > 0 => {
                self.responses.swap_remove(which % responses);
            }
            Step::Wait(time) => tokio::time::advance(Duration::from_millis(time)).await,
            _ => {}
        }
    }

    /// Calls a handle that is ready. Returns whether the request is in flight.
    fn call(&mut self, handle: usize, key: u32) -> bool {
        self.handles[handle].ready = false;
        let finished = Arc::default();
        let request = Request {
            key,
            finished: Arc::clone(&finished),
        };
        let before = self.in_flight();
        let handle = &mut self.handles[handle];
        let mut future = handle.service.call(request);
        let cx = &mut Context::from_waker(Waker::noop());
        if future.as_mut().poll(cx).is_pending() {
            self.responses.push(Response { future, finished });
        }
        self.in_flight() > before
    }

    fn in_flight(&self) -> u32 {
        self.counter.by_key().values().sum()
    }

    fn is_within_limits(&self) -> bool {
        let by_key = self.counter.by_key();
        match self.counts {
            Counts::All => self.in_flight() <= MAX,
            Counts::EachKey => by_key.values().all(|&in_flight| in_flight <= MAX),
            Counts::Weights => {
                let weight = |(key, count): (&u32, &u32)| (key + 1).min(MAX) * count;
                by_key.iter().map(weight).sum::<u32>() <= MAX
            }
        }
    }

    /// Ends all requests, and those reservations that no call will use. All other handles are kept as they are.
    fn end(&mut self) {
        self.responses.clear();
        for handle in self.handles.iter_mut().filter(|handle| handle.ready) {
            handle.service = handle.service.clone();
            handle.ready = false;
        }
        assert!(
            self.counter
                .by_key()
                .values()
                .all(|&in_flight| in_flight == 0)
        );
    }

    /// Returns whether a new handle can send a request. It may have to yield once to a waiter.
    fn admits_another(&mut self) -> bool {
        self.handles.push(Handle {
            service: self.handles[0].service.clone(),
            ready: false,
        });
        let (last, cx) = (
            self.handles.len() - 1,
            &mut Context::from_waker(Waker::noop()),
        );
        (0..2).any(|_| self.handles[last].service.poll_ready(cx).is_ready() && self.call(last, 0))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

    #[test]
    fn no_schedule_exceeds_a_limit_or_loses_a_permit(
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        for limit in LIMITS {
            runtime.block_on(async {
                let mut world = World::new(*limit);
                for step in &steps {
                    world.take(*step).await;
                    prop_assert!(world.is_within_limits());
                }
                world.end();
                for _ in 0..MAX {
                    prop_assert!(world.admits_another());
                }
                prop_assert!(!world.admits_another() && world.is_within_limits());
                Ok(())
            })?;
        }
    }
}

//! A buffer above a balancer, in random order: callers are added, wait, cancel and are dropped; endpoints are added, become
//! busy, fail and are removed.
//!
//! Nothing is polled unless it was woken, so a lost wake-up starves a task. At times all woken tasks are polled until none makes
//! progress: then no request and no caller waits while an endpoint is free. When all endpoints are free at the end, each request
//! that was not cancelled has received its own response. No request is sent twice, or before an earlier one. In the end the
//! queue accepts exactly as many requests as its bound.
#![cfg(all(feature = "buffer", feature = "balance", feature = "load"))]

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures::channel::mpsc;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio_test::task;
use tower::balance::p2c::Balance;
use tower::buffer::{self, Buffer};
use tower::discover::Change;
use tower::load::{CompleteOnResponse, PendingRequests};
use tower::{BoxError, Service};
use tower_test::mock::{self, Handle, Mock, SendResponse};

type Endpoint = PendingRequests<Recorded>;
type Changes = mpsc::UnboundedReceiver<Result<Change<u8, Endpoint>, Infallible>>;
type Balanced = Balance<Changes, u32>;
type Shared = Buffer<u32, <Balanced as Service<u32>>::Future>;
type Response = <Shared as Service<u32>>::Future;

/// The requests that were sent to endpoints, in order.
type Record = Arc<Mutex<Vec<u32>>>;

/// Records its requests.
struct Recorded {
    inner: Mock<u32, u32>,
    record: Record,
}

impl Service<u32> for Recorded {
    type Response = u32;
    type Error = <Mock<u32, u32> as Service<u32>>::Error;
    type Future = <Mock<u32, u32> as Service<u32>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: u32) -> Self::Future {
        self.record.lock().unwrap().push(request);
        self.inner.call(request)
    }
}

#[derive(Clone, Debug)]
enum Op {
    /// A caller polls for readiness.
    PollReady(usize),
    Call(usize),
    /// A caller is added, as the clone of one that may be ready.
    AddCaller(usize),
    DropCaller(usize),
    Await(usize),
    Cancel(usize),
    Work,
    Insert(u8, u64),
    Remove(u8),
    Allow(u8, u64),
    /// The endpoint fails when it is next polled for readiness.
    Fail(u8),
    Take(usize),
    Answer(usize),
    Reject(usize),
    /// Polls all woken tasks until none makes progress.
    Settle,
}

fn op() -> impl Strategy<Value = Op> {
    let any = 0..8_usize;
    let key = 0..4_u8;
    prop_oneof![
        6 => any.clone().prop_map(Op::PollReady),
        6 => any.clone().prop_map(Op::Call),
        1 => any.clone().prop_map(Op::AddCaller),
        1 => any.clone().prop_map(Op::DropCaller),
        3 => any.clone().prop_map(Op::Await),
        2 => any.clone().prop_map(Op::Cancel),
        4 => Just(Op::Work),
        2 => (key.clone(), 0..3_u64).prop_map(|(key, allowed)| Op::Insert(key, allowed)),
        1 => key.clone().prop_map(Op::Remove),
        3 => (key.clone(), 0..3_u64).prop_map(|(key, allowed)| Op::Allow(key, allowed)),
        1 => key.prop_map(Op::Fail),
        4 => any.clone().prop_map(Op::Take),
        3 => any.clone().prop_map(Op::Answer),
        1 => any.prop_map(Op::Reject),
        2 => Just(Op::Settle),
    ]
}

struct Caller {
    service: mock::Spawn<Shared>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    Idle,
    Waiting,
    Ready,
}

struct World {
    worker: task::Spawn<buffer::Worker<u32, Balanced>>,
    started: bool,
    callers: Vec<Caller>,
    /// The pending responses, and whether they have been polled.
    responses: Vec<(u32, task::Spawn<Response>, bool)>,
    changes: mpsc::UnboundedSender<Result<Change<u8, Endpoint>, Infallible>>,
    /// The endpoints, and how many requests each still accepts.
    endpoints: BTreeMap<u8, (Handle<u32, u32>, u64)>,
    /// The handles of removed endpoints, which may have received requests.
    removed_endpoints: Vec<Handle<u32, u32>>,
    taken: Vec<(u32, SendResponse<u32>)>,
    next_id: u32,
    sent: BTreeSet<u32>,
    rejected: BTreeSet<u32>,
    answered: BTreeSet<u32>,
    cancelled: BTreeSet<u32>,
    record: Record,
}

impl World {
    fn new(bound: usize) -> Self {
        let (changes, receiver) = mpsc::unbounded();
        let (buffer, worker) = Buffer::pair(Balance::new(receiver), bound);
        let caller = |buffer| Caller {
            service: mock::Spawn::new(buffer),
            state: State::Idle,
        };
        Self {
            worker: task::spawn(worker),
            started: false,
            callers: vec![caller(buffer.clone()), caller(buffer)],
            responses: Vec::new(),
            changes,
            endpoints: BTreeMap::new(),
            removed_endpoints: Vec::new(),
            taken: Vec::new(),
            next_id: 0,
            sent: BTreeSet::new(),
            rejected: BTreeSet::new(),
            answered: BTreeSet::new(),
            cancelled: BTreeSet::new(),
            record: Record::default(),
        }
    }

    /// Applies an operation. Returns whether it was possible.
    fn apply(&mut self, op: &Op) -> bool {
        match *op {
            Op::PollReady(n) => return self.poll_ready_of(n),
            Op::Call(n) => {
                let Some(caller) = self.callers.get_mut(n) else {
                    return false;
                };
                if caller.state != State::Ready {
                    return false;
                }
                caller.state = State::Idle;
                let response = caller.service.call(self.next_id);
                self.responses
                    .push((self.next_id, task::spawn(response), false));
                self.next_id += 1;
            }
            Op::AddCaller(n) => {
                let Some(caller) = self.callers.get(n) else {
                    return false;
                };
                let service = mock::Spawn::new(caller.service.get_ref().clone());
                self.callers.push(Caller {
                    service,
                    state: State::Idle,
                });
            }
            Op::DropCaller(n) if n < self.callers.len() && self.callers.len() > 1 => {
                self.callers.swap_remove(n);
            }
            Op::Await(n) => return self.await_response(n),
            Op::Cancel(n) if n < self.responses.len() => {
                let (id, ..) = self.responses.swap_remove(n);
                self.cancelled.insert(id);
            }
            Op::Work => return self.work(),
            Op::Insert(key, allowed) => {
                let (service, mut handle) = mock::pair();
                handle.allow(allowed);
                let replaced = self.endpoints.insert(key, (handle, allowed));
                self.removed_endpoints
                    .extend(replaced.map(|(handle, _)| handle));
                let service = Recorded {
                    inner: service,
                    record: Arc::clone(&self.record),
                };
                let service = PendingRequests::new(service, CompleteOnResponse::default());
                self.change(Change::Insert(key, service));
            }
            Op::Remove(key) => {
                let removed = self.endpoints.remove(&key);
                self.removed_endpoints
                    .extend(removed.map(|(handle, _)| handle));
                self.change(Change::Remove(key));
            }
            Op::Allow(key, allowed) => match self.endpoints.get_mut(&key) {
                Some((endpoint, free)) => {
                    endpoint.allow(allowed);
                    *free = allowed;
                }
                None => return false,
            },
            Op::Fail(key) => match self.endpoints.remove(&key) {
                Some((mut endpoint, _)) => {
                    endpoint.send_error("broken");
                    self.removed_endpoints.push(endpoint);
                }
                None => return false,
            },
            Op::Take(n) => return self.take(n),
            Op::Settle => self.settle(),
            Op::Answer(n) if n < self.taken.len() => {
                let (id, send) = self.taken.swap_remove(n);
                send.send_response(id);
            }
            Op::Reject(n) if n < self.taken.len() => {
                let (id, send) = self.taken.swap_remove(n);
                self.rejected.insert(id);
                send.send_error("rejected");
            }
            Op::DropCaller(_) | Op::Cancel(_) | Op::Answer(_) | Op::Reject(_) => return false,
        }
        true
    }

    fn change(&self, change: Change<u8, Endpoint>) {
        self.changes
            .unbounded_send(Ok(change))
            .expect("the balancer has not been dropped");
    }

    fn poll_ready_of(&mut self, n: usize) -> bool {
        let Some(caller) = self.callers.get_mut(n) else {
            return false;
        };
        if caller.state == State::Waiting && !caller.service.is_woken() {
            return false;
        }
        caller.state = match caller.service.poll_ready() {
            Poll::Ready(Ok(())) => State::Ready,
            Poll::Ready(Err(error)) => panic!("the buffer fails: {error}"),
            Poll::Pending => State::Waiting,
        };
        true
    }

    fn await_response(&mut self, n: usize) -> bool {
        let Some((id, response, polled)) = self.responses.get_mut(n) else {
            return false;
        };
        if *polled && !response.is_woken() {
            return false;
        }
        *polled = true;
        let id = *id;
        if let Poll::Ready(result) = response.poll() {
            self.finish(id, result);
            drop(self.responses.swap_remove(n));
        }
        true
    }

    fn finish(&mut self, id: u32, result: Result<u32, BoxError>) {
        match result {
            Ok(answer) => assert_eq!(answer, id, "the response to another request"),
            Err(error) => assert!(self.rejected.contains(&id), "{id} fails: {error}"),
        }
        assert!(self.sent.contains(&id), "{id} is answered but was not sent");
        assert!(self.answered.insert(id), "{id} is answered twice");
    }

    /// Takes a request that was sent to an endpoint.
    fn take(&mut self, n: usize) -> bool {
        let live = self
            .endpoints
            .values_mut()
            .map(|(handle, free)| (handle, Some(free)));
        let removed_endpoints = self
            .removed_endpoints
            .iter_mut()
            .map(|handle| (handle, None));
        let Some((handle, free)) = live.chain(removed_endpoints).nth(n) else {
            return false;
        };
        let Poll::Ready(Some((id, send))) = handle.poll_request() else {
            return false;
        };
        if let Some(free) = free {
            *free = free.saturating_sub(1);
        }
        assert!(self.sent.insert(id), "{id} is sent twice");
        self.taken.push((id, send));
        true
    }

    fn work(&mut self) -> bool {
        if self.started && !self.worker.is_woken() {
            return false;
        }
        self.started = true;
        assert!(self.worker.poll().is_pending(), "the worker ends");
        true
    }

    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 10_000, "the tasks wake each other forever");
            let mut busy = self.work();
            for n in 0..self.callers.len() {
                busy |= self.callers[n].state == State::Waiting && self.poll_ready_of(n);
            }
            for n in (0..self.responses.len()).rev() {
                busy |= self.await_response(n);
            }
            for n in 0..self.endpoints.len() + self.removed_endpoints.len() {
                busy |= self.take(n);
            }
            if !busy {
                break;
            }
        }
        if self.endpoints.values().any(|(_, free)| *free > 0) {
            let waiting = |caller: &Caller| caller.state == State::Waiting;
            assert!(!self.callers.iter().any(waiting), "a caller is starved");
            for (id, ..) in &self.responses {
                assert!(self.sent.contains(id), "{id} is starved");
            }
        }
    }

    fn finish_all(&mut self) {
        self.settle();
        self.apply(&Op::Insert(99, u64::MAX));
        for n in 0..self.callers.len() {
            self.settle();
            self.apply(&Op::Call(n));
        }
        self.settle();
        while self.apply(&Op::Answer(0)) {}
        self.settle();
        for id in 0..self.next_id {
            let (answered, cancelled) = (self.answered.contains(&id), self.cancelled.contains(&id));
            assert!(answered != cancelled, "{id} is lost");
        }
        let record = self.record.lock().unwrap().clone();
        assert!(record.is_sorted(), "out of order: {record:?}");
    }

    /// Returns how many requests the queue accepts, without the one that waits for readiness, when no endpoint is left.
    fn room(&mut self) -> usize {
        // If a replacement has failed, the endpoint that it was to replace is still in use.
        for key in [0, 1, 2, 3, 99] {
            self.apply(&Op::Remove(key));
        }
        self.callers.truncate(1);
        self.responses.clear();
        self.settle();
        let mut queued = 0;
        loop {
            self.poll_ready_of(0);
            self.settle();
            if self.callers[0].state != State::Ready {
                return queued - 1;
            }
            self.apply(&Op::Call(0));
            self.settle();
            queued += 1;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_request_is_lost_doubled_or_starved(bound in 1..4_usize, ops in vec(op(), 0..120)) {
        let mut world = World::new(bound);
        for op in &ops {
            world.apply(op);
        }
        world.finish_all();
        // The first time there may be one slot beyond the bound, for a handle that was rejected.
        let room = world.room();
        prop_assert!((bound..=bound + 1).contains(&room), "room for {} of {}", room, bound);
        prop_assert_eq!(world.room(), bound);
    }
}

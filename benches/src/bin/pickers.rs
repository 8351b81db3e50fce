//! `cargo run --release --bin pickers`: the cost of a request through a balancer with each picker, with 10 endpoints and with
//! 10,000, and the cost of replacing one of them. Prints the table of `README.md`.

use std::convert::Infallible;
use std::future::Ready;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tower::balance::p2c::Balance;
use tower::balance::picker::{
    LeastLoaded, MaglevHash, P2c, Picker, PrequalPicker, Random, RingHash, RoundRobin,
    WeightedRoundRobin,
};
use tower::balance::policy::hash::mix;
use tower::discover::Change;
use tower::load::{Constant, Weighted};
use tower::ready_cache::ReadyCache;
use tower::util::ServiceFn;
use tower::{Service, ServiceExt, service_fn};
use tower_benches::counting::{Counting, allocations};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

type Echo = ServiceFn<fn(u64) -> Ready<Result<u64, Infallible>>>;
type Endpoint = Weighted<Constant<Echo, u32>>;

const FEW: usize = 10;
const MANY: usize = 10_000;
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(20);

fn endpoint(key: usize) -> Endpoint {
    let echo: Echo = service_fn(|n| std::future::ready(Ok(n)));
    // Weights and loads that differ.
    Weighted::new(Constant::new(echo, key as u32 % 7), 1 + key as u32 % 4)
}

/// A number of endpoints; with churn, one of them is removed and added again at each poll.
struct Endpoints {
    count: usize,
    next: usize,
    churns: bool,
    step: u8,
}

impl futures::Stream for Endpoints {
    type Item = Result<Change<usize, Endpoint>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let insert = |key| Poll::Ready(Some(Ok(Change::Insert(key, endpoint(key)))));
        if self.next < self.count {
            self.next += 1;
            return insert(self.next - 1);
        }
        if !self.churns {
            return Poll::Pending;
        }
        self.step = (self.step + 1) % 3;
        let key = self.next % self.count;
        match self.step {
            1 => Poll::Ready(Some(Ok(Change::Remove(key)))),
            2 => {
                self.next += 1;
                insert(key)
            }
            _ => {
                // For the next request.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

/// Nanoseconds and allocations of a request.
fn measure<P>(picker: P, count: usize, churns: bool) -> (f64, f64)
where
    P: Picker<ReadyCache<usize, Endpoint, u64>, u64>,
{
    let runtime = tower_benches::current_thread();
    let endpoints = Endpoints {
        count,
        next: 0,
        churns,
        step: 0,
    };
    let mut balance = Balance::builder(endpoints).pick(picker).seed(1).build();
    let mut key = 0;
    let mut run = |requests: u64| {
        let (start, before) = (Instant::now(), allocations());
        runtime.block_on(async {
            for _ in 0..requests {
                key = mix(key, 1);
                black_box(balance.ready().await.unwrap().call(key).await.unwrap());
            }
        });
        (start.elapsed(), allocations() - before)
    };
    // All endpoints have been added, and lazily created state exists.
    while !churns && run(64).1 > 0 {}
    let mut requests = 64;
    while run(requests).0 < ROUND {
        requests *= 2;
    }
    let mut rounds: Vec<_> = (0..ROUNDS).map(|_| run(requests)).collect();
    rounds.sort_unstable();
    let (time, allocations) = rounds[ROUNDS / 2];
    let each = |total: f64| total / requests as f64;
    (each(time.as_nanos() as f64), each(allocations as f64))
}

fn main() {
    println!(
        "| picker | 10 endpoints, ns | 10,000, ns | ratio | allocations | one of 10 replaced, ns | one of 10,000, ns |"
    );
    println!("|---|---|---|---|---|---|---|");
    let key = |key: &u64| Some(*key);
    macro_rules! row {
        ($name:literal, $picker:expr) => {{
            let (few, _) = measure($picker, FEW, false);
            let (many, allocations) = measure($picker, MANY, false);
            let (replaced_few, _) = measure($picker, FEW, true);
            let (replaced_many, _) = measure($picker, MANY, true);
            println!(
                "| {} | {few:.0} | {many:.0} | {:.2} | {allocations:.2} | {replaced_few:.0} | {replaced_many:.0} |",
                $name,
                many / few,
            );
        }};
    }
    row!("`P2c`", P2c::new());
    row!("`LeastLoaded`, of two", LeastLoaded::new());
    row!("`LeastLoaded`, of five", LeastLoaded::of(5));
    row!("`RoundRobin`", RoundRobin::new());
    row!("`WeightedRoundRobin`", WeightedRoundRobin::new());
    row!("`Random`", Random::new());
    row!("`RingHash`", RingHash::by(key));
    row!("`MaglevHash`", MaglevHash::by(key));
    row!(
        "`PrequalPicker`",
        PrequalPicker::new(Default::default()).unwrap().0
    );
}

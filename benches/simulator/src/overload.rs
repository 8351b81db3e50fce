//! A server that gets three times the requests that it can do, with and without a limit of the requests in flight.
//!
//! The policies are those of `tower_limit::adaptive`; only the server, its clients and the permits are simulated.

use std::time::Duration;

use tokio::time::Instant;
use tower_limit::adaptive::{
    Aimd, AimdConfig, Gradient, Gradient2, GradientConfig, InvalidPolicy, Limit, Vegas,
    VegasConfig, Windowed,
};
use tower_util::rng::SplitMix;

use crate::draw::{Work, exponential, fork};
use crate::event::{EventQueue, MS, Nanos, SECOND};
use crate::server::Server;

/// What limits the requests in flight in the server. Those beyond it are refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Guard {
    /// Nothing.
    None,
    /// A limit that does not change.
    Fixed(usize),
    /// [`Aimd`], by default.
    Aimd,
    /// [`Aimd`] with a timeout of 100 ms.
    AimdByLatency,
    /// [`Gradient`], by default.
    Gradient,
    /// [`Gradient2`], by default.
    Gradient2,
    /// [`Vegas`], by default.
    Vegas,
    /// [`Vegas`] with averages over 100 ms.
    WindowedVegas,
}

impl Guard {
    /// The guards that are compared.
    pub const ALL: [Self; 9] = [
        Self::None,
        Self::Fixed(16),
        Self::Fixed(1000),
        Self::Aimd,
        Self::AimdByLatency,
        Self::Gradient,
        Self::Gradient2,
        Self::Vegas,
        Self::WindowedVegas,
    ];

    /// Returns the name in the table.
    pub fn label(self) -> String {
        match self {
            Self::None => "none".into(),
            Self::Fixed(limit) => format!("{limit}"),
            Self::Aimd => "AIMD".into(),
            Self::AimdByLatency => "AIMD, timeout 100 ms".into(),
            Self::Gradient => "gradient".into(),
            Self::Gradient2 => "Gradient2".into(),
            Self::Vegas => "Vegas".into(),
            Self::WindowedVegas => "Vegas, averages of 100 ms".into(),
        }
    }

    fn limit(self, seed: u64) -> Result<Option<Box<dyn Limit>>, InvalidPolicy> {
        let window = Duration::from_millis(100);
        let vegas = || Vegas::try_new(VegasConfig::default().seed(seed));
        Ok(Some(match self {
            Self::None => return Ok(None),
            Self::Fixed(limit) => Box::new(Fixed(limit)),
            Self::Aimd => Box::new(Aimd::default()),
            Self::AimdByLatency => Box::new(Aimd::try_new(AimdConfig::default().timeout(window))?),
            Self::Gradient => Box::new(Gradient::try_new(GradientConfig::default().seed(seed))?),
            Self::Gradient2 => Box::new(Gradient2::default()),
            Self::Vegas => Box::new(vegas()?),
            Self::WindowedVegas => Box::new(Windowed::try_new(vegas()?, window)?),
        }))
    }
}

struct Fixed(usize);

impl Limit for Fixed {
    fn sample(&mut self, _now: Instant, _rtt: Duration, _in_flight: usize, _dropped: bool) {}

    fn limit(&self) -> usize {
        self.0
    }
}

/// The work of the requests: 10 ms on average, exponentially distributed.
pub const DIFFERENT: Work = Work::Exponential(10.0 * MS as f64);
/// The work of the requests: 10 ms each, with a standard deviation of 1 ms.
pub const ALIKE: Work = Work::Normal(10.0 * MS as f64, MS as f64);

/// The results of a run, after its first ten seconds.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    /// The responses that a client waited for, as a share of what the server can do.
    pub goodput: f64,
    /// The share of the requests that were refused.
    pub refused: f64,
    /// The share of the requests whose client gave up.
    pub given_up: f64,
    /// The requests in flight, on average over those that were let in.
    pub in_flight: f64,
    /// The latencies of the requests that were let in, sorted; those that were given up count until then.
    latencies: Vec<Nanos>,
}

impl Outcome {
    /// Returns the quantile of the latencies of the requests that were let in, in milliseconds.
    pub fn quantile(&self, quantile: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let rank = (quantile * last as f64).round() as usize;
        self.latencies.get(rank).copied().unwrap_or(0) as f64 / MS as f64
    }
}

/// Runs for ten minutes clients that send `load` times the requests that the server can do, if they have a response at once. Each
/// thinks for a second on average, sends a request, waits for the response for at most a second, and thinks again. The server does
/// not notice that a client has given up. `base` is the instant of the virtual time zero.
///
/// # Errors
///
/// If a policy rejects its configuration.
pub fn run(
    load: f64,
    work: Work,
    guard: Guard,
    seed: u64,
    base: Instant,
) -> Result<Outcome, InvalidPolicy> {
    let mut sim = Sim {
        queue: EventQueue::new(),
        server: Server::new(CORES),
        requests: Vec::new(),
        limit: guard.limit(seed)?,
        in_flight: 0,
        work,
        rng: fork(seed, 0),
        base,
        tally: Tally::default(),
    };
    let clients = load * CAPACITY * THINK as f64 / SECOND as f64;
    for client in 0..clients as u32 {
        sim.think(client, 0);
    }
    while let Some((now, event)) = sim.queue.next_until(DURATION) {
        sim.handle(event, now);
    }
    Ok(sim.tally.outcome())
}

struct Sim {
    queue: EventQueue<Event>,
    server: Server,
    requests: Vec<Request>,
    limit: Option<Box<dyn Limit>>,
    in_flight: usize,
    work: Work,
    rng: SplitMix,
    base: Instant,
    tally: Tally,
}

struct Request {
    client: u32,
    began: Nanos,
    waits: bool,
}

#[derive(Clone, Copy)]
enum Event {
    /// A client sends a request.
    Send(u32),
    /// The server is done with a request, if the prediction is still valid.
    Finish(u32),
    /// The client of a request gives up, unless it has its response.
    GiveUp(u32),
}

#[derive(Default)]
struct Tally {
    sent: u64,
    refused: u64,
    given_up: u64,
    responses: u64,
    in_flight: u64,
    latencies: Vec<Nanos>,
}

impl Sim {
    fn handle(&mut self, event: Event, now: Nanos) {
        match event {
            Event::Send(client) => self.send(client, now),
            Event::Finish(generation) => {
                if let Some(request) = self.server.finish(generation, now) {
                    self.finish(request, now);
                    self.predict();
                }
            }
            Event::GiveUp(number) => {
                let request = &mut self.requests[number as usize];
                if std::mem::take(&mut request.waits) {
                    let (client, began) = (request.client, request.began);
                    if began >= WARM_UP {
                        self.tally.given_up += 1;
                        self.tally.latencies.push(now - began);
                    }
                    self.think(client, now);
                }
            }
        }
    }

    fn think(&mut self, client: u32, now: Nanos) {
        let until = now + exponential(&mut self.rng, THINK as f64) as Nanos;
        self.queue.schedule(until, Event::Send(client));
    }

    fn send(&mut self, client: u32, now: Nanos) {
        // Drawn for refused requests as well, so that these do not change the work of the others much.
        let work = self.work.draw(&mut self.rng);
        let counts = now >= WARM_UP;
        self.tally.sent += u64::from(counts);
        if let Some(limit) = &self.limit
            && self.in_flight >= limit.limit()
        {
            self.tally.refused += u64::from(counts);
            return self.think(client, now);
        }
        self.in_flight += 1;
        if counts {
            self.tally.in_flight += self.in_flight as u64;
        }
        let number = self.requests.len() as u32;
        self.requests.push(Request {
            client,
            began: now,
            waits: true,
        });
        self.server.begin(number, work, now);
        self.queue.schedule(now + PATIENCE, Event::GiveUp(number));
        self.predict();
    }

    fn finish(&mut self, number: u32, now: Nanos) {
        let request = &mut self.requests[number as usize];
        let (client, took) = (request.client, now - request.began);
        if std::mem::take(&mut request.waits) {
            if request.began >= WARM_UP {
                self.tally.responses += 1;
                self.tally.latencies.push(took);
            }
            self.think(client, now);
        }
        if let Some(limit) = &mut self.limit {
            let now = self.base + Duration::from_nanos(now);
            limit.sample(now, Duration::from_nanos(took), self.in_flight, false);
        }
        self.in_flight -= 1;
    }

    fn predict(&mut self) {
        if let Some((at, generation)) = self.server.predict() {
            self.queue.schedule(at, Event::Finish(generation));
        }
    }
}

impl Tally {
    fn outcome(mut self) -> Outcome {
        self.latencies.sort_unstable();
        let seconds = (DURATION - WARM_UP) as f64 / SECOND as f64;
        let share = |part: u64| part as f64 / self.sent.max(1) as f64;
        Outcome {
            goodput: self.responses as f64 / (seconds * CAPACITY),
            refused: share(self.refused),
            given_up: share(self.given_up),
            in_flight: self.in_flight as f64 / (self.sent - self.refused).max(1) as f64,
            latencies: self.latencies,
        }
    }
}

const CORES: f64 = 8.0;
/// Requests per second.
const CAPACITY: f64 = 800.0;
const THINK: Nanos = SECOND;
const PATIENCE: Nanos = SECOND;
const WARM_UP: Nanos = 10 * SECOND;
const DURATION: Nanos = 610 * SECOND;

//! A server: cores that its requests share, and what it says of itself when probed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::event::Nanos;

/// Works on all its requests at once, each on one core at most; if there are fewer cores than requests they share alike.
#[derive(Debug)]
pub struct Server {
    cores: f64,
    speed: f64,
    conduct: Conduct,
    /// The work that each request has got that has been here from the beginning on.
    progress: f64,
    /// The progress at which each request is done: positive, so that the bits are in the order of the numbers.
    jobs: BinaryHeap<Reverse<(u64, u32)>>,
    at: Nanos,
    /// Plans that were made for another state of the server are void.
    generation: u32,
    /// Requests that do not work: see `Conduct`.
    idle: u32,
    used: f64,
    answers: u32,
    failures: u32,
    recent: VecDeque<Sample>,
}

/// What a server does with a request that arrives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Conduct {
    /// Its work.
    Work,
    /// It answers after this time, whatever the work.
    Answer(Nanos),
    /// It fails after this time.
    Fail(Nanos),
}

/// What a server reports about the time since its last report.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Cores in use, on the average.
    pub cores: f64,
    /// Requests that were answered.
    pub answers: u32,
    /// Requests that failed.
    pub failures: u32,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    in_flight: u32,
    took: Nanos,
    failed: bool,
}

impl Server {
    /// With so many cores, which may be infinitely many.
    pub fn new(cores: f64) -> Self {
        Self {
            cores,
            speed: 1.0,
            conduct: Conduct::Work,
            progress: 0.0,
            jobs: BinaryHeap::new(),
            at: 0,
            generation: 0,
            idle: 0,
            used: 0.0,
            answers: 0,
            failures: 0,
            recent: VecDeque::new(),
        }
    }

    /// Requests that are neither answered nor failed.
    pub fn in_flight(&self) -> u32 {
        self.jobs.len() as u32 + self.idle
    }

    /// What it does with the next request.
    pub fn conduct(&self) -> Conduct {
        self.conduct
    }

    /// From now on it does so.
    pub fn set_conduct(&mut self, conduct: Conduct) {
        self.conduct = conduct;
    }

    /// From now on it has so many cores, each of this speed; 1.0 is the usual one.
    pub fn set_strength(&mut self, cores: f64, speed: f64, now: Nanos) {
        self.advance(now);
        (self.cores, self.speed) = (cores, speed);
    }

    /// Begins to work on a request.
    pub fn begin(&mut self, request: u32, work: f64, now: Nanos) {
        self.advance(now);
        let done_at = (self.progress + work).to_bits();
        self.jobs.push(Reverse((done_at, request)));
    }

    /// A request that does not work is here.
    pub fn begin_idle(&mut self) {
        self.idle += 1;
    }

    /// A request that does not work is gone.
    pub fn end_idle(&mut self) {
        self.idle -= 1;
    }

    /// When the next request is done if nothing else happens, and the generation of this plan.
    pub fn plan(&mut self) -> Option<(Nanos, u32)> {
        self.generation = self.generation.wrapping_add(1);
        let Reverse((done_at, _)) = self.jobs.peek()?;
        let left = (f64::from_bits(*done_at) - self.progress).max(0.0);
        let rate = self.rate();
        (rate > 0.0).then(|| (self.at + (left / rate).ceil() as Nanos, self.generation))
    }

    /// The request that is done, unless something has happened since the plan.
    pub fn finish(&mut self, generation: u32, now: Nanos) -> Option<u32> {
        if generation != self.generation {
            return None;
        }
        self.advance(now);
        let Reverse((done_at, request)) = self.jobs.pop()?;
        // It was planned for the nanosecond after.
        self.progress = f64::from_bits(done_at);
        Some(request)
    }

    /// All requests that it works on, which it does no more.
    pub fn crash(&mut self, now: Nanos) -> Vec<u32> {
        self.advance(now);
        let mut requests: Vec<_> = self.jobs.drain().map(|Reverse((_, id))| id).collect();
        requests.sort_unstable();
        requests
    }

    /// A request that came when there were so many has its end.
    pub fn record(&mut self, in_flight: u32, took: Nanos, failed: bool) {
        *if failed {
            &mut self.failures
        } else {
            &mut self.answers
        } += 1;
        if self.recent.len() == WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(Sample {
            in_flight,
            took,
            failed,
        });
    }

    /// How long the last requests took that came when there were about as many as now (the median of the nearest), and which
    /// part of the last ones failed.
    pub fn latency(&self) -> (Nanos, f64) {
        let now = self.in_flight();
        let failed = self.recent.iter().filter(|sample| sample.failed).count();
        let failing = failed as f64 / self.recent.len().max(1) as f64;
        let distance = |sample: &Sample| (sample.in_flight.abs_diff(now), sample.took);
        let mut near: Vec<_> = self.recent.iter().map(distance).collect();
        if near.len() > NEAREST {
            near.select_nth_unstable(NEAREST);
            near.truncate(NEAREST);
        }
        let mut took: Vec<_> = near.into_iter().map(|(_, took)| took).collect();
        took.sort_unstable();
        (took.get(took.len() / 2).copied().unwrap_or(0), failing)
    }

    /// What it did in the last `period`.
    pub fn usage(&mut self, period: Nanos, now: Nanos) -> Usage {
        self.advance(now);
        let usage = Usage {
            cores: self.used / period as f64,
            answers: self.answers,
            failures: self.failures,
        };
        (self.used, self.answers, self.failures) = (0.0, 0, 0);
        usage
    }

    fn advance(&mut self, now: Nanos) {
        let elapsed = now.saturating_sub(self.at) as f64;
        self.progress += elapsed * self.rate();
        self.used += elapsed * self.cores.min(self.jobs.len() as f64);
        self.at = now;
    }

    /// Of each request.
    fn rate(&self) -> f64 {
        self.speed * (self.cores / self.jobs.len().max(1) as f64).min(1.0)
    }
}

/// So many requests a server remembers, and so many of them are near.
const WINDOW: usize = 64;
const NEAREST: usize = 16;

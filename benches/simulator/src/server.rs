//! A server: cores that its requests share, and what it says of itself when probed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::event::Nanos;
use crate::memory::Memory;
use crate::usage::Usage;

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
    memory: Memory,
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
    /// It answers after this time that it does not do it, as with an HTTP 503.
    Refuse(Nanos),
}

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ending {
    /// It was done.
    Answered,
    /// There is an answer, but it was not done.
    Refused,
    /// There is no answer.
    Failed,
}

impl Ending {
    /// Whether the caller does not have what it wanted.
    pub fn is_failure(self) -> bool {
        self != Self::Answered
    }
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
            memory: Memory::default(),
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
    pub fn record(&mut self, in_flight: u32, took: Nanos, failed: bool, now: Nanos) {
        *if failed {
            &mut self.failures
        } else {
            &mut self.answers
        } += 1;
        self.memory.record(in_flight, took, failed, now);
    }

    /// How long a request takes, and which part of them fails.
    pub fn latency(&self, now: Nanos) -> (Nanos, f64) {
        let latency = self.memory.latency(self.in_flight());
        (latency, self.memory.failing(now))
    }

    /// It begins anew, and remembers nothing.
    pub fn restart(&mut self) {
        self.memory = Memory::default();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_share_the_cores() {
        let mut server = Server::new(1.0);
        server.begin(0, 100.0, 0);
        assert_eq!(server.plan().map(|(at, _)| at), Some(100));
        // Half of the first is done. Both get half a core until it is done, and then the second gets all.
        server.begin(1, 100.0, 50);
        let (at, generation) = server.plan().unwrap();
        assert_eq!(at, 150);
        assert_eq!(server.finish(generation, at), Some(0));
        assert_eq!(server.plan().map(|(at, _)| at), Some(200));
        assert_eq!(server.usage(200, 200).cores, 1.0);
    }

    #[test]
    fn a_plan_is_void_when_something_else_happened() {
        let mut server = Server::new(2.0);
        server.begin(0, 100.0, 0);
        let (_, generation) = server.plan().unwrap();
        server.set_strength(2.0, 0.5, 50);
        let (at, current) = server.plan().unwrap();
        assert_eq!(at, 150);
        assert_eq!(server.finish(generation, 100), None);
        assert_eq!(server.finish(current, at), Some(0));
        assert_eq!(server.plan(), None);
    }

    #[test]
    fn a_request_has_no_more_than_a_core() {
        let mut server = Server::new(f64::INFINITY);
        (0..1000).for_each(|request| server.begin(request, 100.0, 0));
        assert_eq!(server.plan().map(|(at, _)| at), Some(100));
        assert_eq!(server.crash(50).len(), 1000);
        assert_eq!(server.in_flight(), 0);
    }
}

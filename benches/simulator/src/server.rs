//! A server: its cores, which requests share, and its responses to probes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::event::Nanos;
use crate::memory::Memory;
use crate::usage::Usage;

/// A server that processes all its requests at the same time, each on at most one core. If there are fewer cores than requests,
/// these share the cores equally.
#[derive(Debug)]
pub struct Server {
    cores: f64,
    speed: f64,
    behavior: Behavior,
    /// The work that has been done for a request that has been here since the start.
    progress: f64,
    /// The progress at which each request is done, as bits: these are ordered like the numbers, as all are positive.
    jobs: BinaryHeap<Reverse<(u64, u32)>>,
    at: Nanos,
    /// The number of the last prediction; earlier ones are void.
    generation: u32,
    /// The number of in-flight requests that use no core; see `Behavior`.
    idle: u32,
    used: f64,
    responses: u32,
    failures: u32,
    memory: Memory,
}

/// How a server handles a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Behavior {
    /// Processes it.
    Work,
    /// Responds after this time, whatever the work.
    Respond(Nanos),
    /// Fails it after this time.
    Fail(Nanos),
    /// Rejects it with a response after this time, as with an HTTP 503.
    Reject(Nanos),
}

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Completion {
    /// With a response.
    Responded,
    /// With a response that rejects it.
    Rejected,
    /// Without a response.
    Failed,
}

impl Completion {
    /// Returns whether the request was rejected or failed.
    pub fn is_failure(self) -> bool {
        self != Self::Responded
    }
}

impl Server {
    /// Creates a server with `cores` cores, which may be infinite.
    pub fn new(cores: f64) -> Self {
        Self {
            cores,
            speed: 1.0,
            behavior: Behavior::Work,
            progress: 0.0,
            jobs: BinaryHeap::new(),
            at: 0,
            generation: 0,
            idle: 0,
            used: 0.0,
            responses: 0,
            failures: 0,
            memory: Memory::default(),
        }
    }

    /// Returns the number of in-flight requests.
    pub fn in_flight(&self) -> u32 {
        self.jobs.len() as u32 + self.idle
    }

    /// Returns how the next request is handled.
    pub fn behavior(&self) -> Behavior {
        self.behavior
    }

    /// Sets how requests are handled from now on.
    pub fn set_behavior(&mut self, behavior: Behavior) {
        self.behavior = behavior;
    }

    /// Sets the number of cores and their speed, where 1.0 is the usual one.
    pub fn set_capacity(&mut self, cores: f64, speed: f64, now: Nanos) {
        self.advance(now);
        (self.cores, self.speed) = (cores, speed);
    }

    /// Starts to process a request.
    pub fn begin(&mut self, request: u32, work: f64, now: Nanos) {
        self.advance(now);
        let done_at = (self.progress + work).to_bits();
        self.jobs.push(Reverse((done_at, request)));
    }

    /// Adds an in-flight request that uses no core.
    pub fn begin_idle(&mut self) {
        self.idle += 1;
    }

    /// Removes an in-flight request that uses no core.
    pub fn end_idle(&mut self) {
        self.idle -= 1;
    }

    /// Predicts when the next request is done if nothing else happens. Returns that time and the number of the prediction.
    pub fn predict(&mut self) -> Option<(Nanos, u32)> {
        self.generation = self.generation.wrapping_add(1);
        let Reverse((done_at, _)) = self.jobs.peek()?;
        let left = (f64::from_bits(*done_at) - self.progress).max(0.0);
        let rate = self.rate();
        (rate > 0.0).then(|| (self.at + (left / rate).ceil() as Nanos, self.generation))
    }

    /// Removes and returns the request that is done, or `None` if the prediction is void.
    pub fn finish(&mut self, generation: u32, now: Nanos) -> Option<u32> {
        if generation != self.generation {
            return None;
        }
        self.advance(now);
        let Reverse((done_at, request)) = self.jobs.pop()?;
        // The prediction was rounded up to a nanosecond.
        self.progress = f64::from_bits(done_at);
        Some(request)
    }

    /// Removes and returns all requests that are being processed.
    pub fn crash(&mut self, now: Nanos) -> Vec<u32> {
        self.advance(now);
        let mut requests: Vec<_> = self.jobs.drain().map(|Reverse((_, id))| id).collect();
        requests.sort_unstable();
        requests
    }

    /// Records the end of a request that arrived when `in_flight` requests were in flight.
    pub fn record(&mut self, in_flight: u32, took: Nanos, failed: bool, now: Nanos) {
        *if failed {
            &mut self.failures
        } else {
            &mut self.responses
        } += 1;
        self.memory.record(in_flight, took, failed, now);
    }

    /// Returns the response to a probe: the estimated latency of a request, and the failure rate.
    pub fn latency(&self, now: Nanos) -> (Nanos, f64) {
        let latency = self.memory.latency(self.in_flight());
        (latency, self.memory.failing(now))
    }

    /// Discards all records, as a new process has none.
    pub fn restart(&mut self) {
        self.memory = Memory::default();
    }

    /// Returns the usage in the last `period`.
    pub fn usage(&mut self, period: Nanos, now: Nanos) -> Usage {
        self.advance(now);
        let usage = Usage {
            cores: self.used / period as f64,
            responses: self.responses,
            failures: self.failures,
        };
        (self.used, self.responses, self.failures) = (0.0, 0, 0);
        usage
    }

    fn advance(&mut self, now: Nanos) {
        let elapsed = now.saturating_sub(self.at) as f64;
        self.progress += elapsed * self.rate();
        self.used += elapsed * self.cores.min(self.jobs.len() as f64);
        self.at = now;
    }

    /// The rate of progress of each request.
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
        assert_eq!(server.predict().map(|(at, _)| at), Some(100));
        // Half of the first is done. Each gets half a core until the first is done, and then the second gets the whole core.
        server.begin(1, 100.0, 50);
        let (at, generation) = server.predict().unwrap();
        assert_eq!(at, 150);
        assert_eq!(server.finish(generation, at), Some(0));
        assert_eq!(server.predict().map(|(at, _)| at), Some(200));
        assert_eq!(server.usage(200, 200).cores, 1.0);
    }

    #[test]
    fn a_plan_is_void_when_something_else_happened() {
        let mut server = Server::new(2.0);
        server.begin(0, 100.0, 0);
        let (_, generation) = server.predict().unwrap();
        server.set_capacity(2.0, 0.5, 50);
        let (at, current) = server.predict().unwrap();
        assert_eq!(at, 150);
        assert_eq!(server.finish(generation, 100), None);
        assert_eq!(server.finish(current, at), Some(0));
        assert_eq!(server.predict(), None);
    }

    #[test]
    fn a_request_has_no_more_than_a_core() {
        let mut server = Server::new(f64::INFINITY);
        (0..1000).for_each(|request| server.begin(request, 100.0, 0));
        assert_eq!(server.predict().map(|(at, _)| at), Some(100));
        assert_eq!(server.crash(50).len(), 1000);
        assert_eq!(server.in_flight(), 0);
    }
}

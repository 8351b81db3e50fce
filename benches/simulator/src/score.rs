//! The results of a run.

use crate::event::{MS, Nanos};
use crate::scenario::Scenario;

/// The results of a picker in a scenario. Scores are equal if all digits are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Score {
    /// The label of the row.
    pub label: String,
    /// The number of requests after the warm-up.
    pub requests: u64,
    /// The number of failed requests.
    pub failed: u64,
    /// The number of requests with a response after the deadline, or none.
    pub late: u64,
    /// The latencies of the requests that did not fail, in ascending order.
    pub latencies: Vec<Nanos>,
    /// The number of requests that each server received. If there is a faulty server, only during the fault.
    pub by_server: Vec<u64>,
    /// The faulty server, if there is one.
    pub bad: Option<usize>,
    /// The number of connections of each server.
    pub connections: Vec<u32>,
    /// The number of connections that were opened after the start.
    pub opened: u64,
    /// The number of requests that stayed in the zone of their client.
    pub local: u64,
    clients: usize,
}

impl Score {
    pub(crate) fn new(label: String, scenario: &Scenario, connections: Vec<u32>) -> Self {
        Self {
            label,
            by_server: vec![0; scenario.servers.len()],
            bad: scenario.bad.map(|(server, ..)| server),
            connections,
            clients: scenario.clients,
            ..Self::default()
        }
    }

    pub(crate) fn finish(mut self) -> Self {
        self.latencies.sort_unstable();
        self
    }

    /// Returns the quantile `part`, from 0.0 to 1.0, of the latencies of all responses, in milliseconds.
    pub fn quantile(&self, part: f64) -> f64 {
        self.rank(self.latencies.len() as f64 * part).unwrap_or(0.0)
    }

    /// Returns the quantile `part` of the latencies of all requests, or `None` if it is that of a request without a response.
    pub fn quantile_of_requests(&self, part: f64) -> Option<f64> {
        self.rank((self.latencies.len() as f64 + self.failed as f64) * part)
    }

    fn rank(&self, rank: f64) -> Option<f64> {
        let took = self.latencies.get((rank.ceil() as usize).saturating_sub(1));
        took.map(|took| *took as f64 / MS as f64)
    }

    /// Returns the mean latency of all responses, in milliseconds.
    pub fn mean(&self) -> f64 {
        let sum: Nanos = self.latencies.iter().sum();
        sum as f64 / MS as f64 / self.latencies.len().max(1) as f64
    }

    /// Returns the fraction of the requests that failed or were late.
    pub fn error_rate(&self) -> f64 {
        (self.failed + self.late) as f64 / self.requests.max(1) as f64
    }

    /// Returns the fraction of the requests that the faulty server received, or the busiest server if none is faulty.
    pub fn worst_share(&self) -> f64 {
        let sum: u64 = self.by_server.iter().sum();
        let most = || self.by_server.iter().copied().max().unwrap_or(0);
        let worst = self.bad.map_or_else(most, |server| self.by_server[server]);
        worst as f64 / sum.max(1) as f64
    }

    /// Returns [`worst_share`](Self::worst_share) as a multiple of an equal share.
    pub fn worst_in_shares(&self) -> f64 {
        self.worst_share() * self.by_server.len() as f64
    }

    /// Returns the number of connections that were opened after the start, per client.
    pub fn churn(&self) -> f64 {
        self.opened as f64 / self.clients.max(1) as f64
    }

    /// Returns the fraction of the requests that stayed in the zone of their client.
    pub fn local_share(&self) -> f64 {
        self.local as f64 / self.requests.max(1) as f64
    }
}

//! What came of a run.

use crate::event::{MS, Nanos};
use crate::scenario::Scenario;

/// What a contestant achieved in a scenario. Equal if equal to the last digit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Score {
    /// Who.
    pub label: String,
    /// Requests that count.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that were answered after the deadline, or not at all.
    pub late: u64,
    /// What those took that did not fail, in ascending order.
    pub latencies: Vec<Nanos>,
    /// The requests that each server got; while something was wrong, if it was with one of them.
    pub by_server: Vec<u64>,
    /// The server that something was wrong with.
    pub bad: Option<usize>,
    /// The connections of each server.
    pub connections: Vec<u32>,
    /// Connections that were opened after the beginning.
    pub opened: u64,
    /// Requests that stayed in the zone of their client.
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

    /// What this part of the answers, from 0.0 to 1.0, took at most, in milliseconds.
    pub fn quantile(&self, part: f64) -> f64 {
        self.rank(self.latencies.len() as f64 * part).unwrap_or(0.0)
    }

    /// The same of the requests; `None` if so many were not answered at all.
    pub fn quantile_of_requests(&self, part: f64) -> Option<f64> {
        self.rank((self.latencies.len() as f64 + self.failed as f64) * part)
    }

    fn rank(&self, rank: f64) -> Option<f64> {
        let took = self.latencies.get((rank.ceil() as usize).saturating_sub(1));
        took.map(|took| *took as f64 / MS as f64)
    }

    /// What the answers took on the average, in milliseconds.
    pub fn mean(&self) -> f64 {
        let sum: Nanos = self.latencies.iter().sum();
        sum as f64 / MS as f64 / self.latencies.len().max(1) as f64
    }

    /// The part of the requests that failed or were late.
    pub fn error_rate(&self) -> f64 {
        (self.failed + self.late) as f64 / self.requests.max(1) as f64
    }

    /// The part of the requests that the bad server got, or else the one that got most.
    pub fn worst_share(&self) -> f64 {
        let sum: u64 = self.by_server.iter().sum();
        let most = || self.by_server.iter().copied().max().unwrap_or(0);
        let worst = self.bad.map_or_else(most, |server| self.by_server[server]);
        worst as f64 / sum.max(1) as f64
    }

    /// The same, in shares of one server of so many.
    pub fn worst_in_shares(&self) -> f64 {
        self.worst_share() * self.by_server.len() as f64
    }

    /// Connections opened after the beginning, per client.
    pub fn churn(&self) -> f64 {
        self.opened as f64 / self.clients.max(1) as f64
    }

    /// The part of the requests that stayed in the zone.
    pub fn local_share(&self) -> f64 {
        self.local as f64 / self.requests.max(1) as f64
    }
}

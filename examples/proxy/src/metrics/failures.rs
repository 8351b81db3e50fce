//! Failed requests by reason.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::labels::{FailureLabels, RouteLabels};

/// Counters by reason. Known reasons are shown from the start with 0, others once they occur.
#[derive(Debug)]
pub(super) struct Failures {
    family: Family<FailureLabels, Counter>,
    labels: RouteLabels,
    /// The known reasons, which need no lock.
    known: Vec<(&'static str, Counter)>,
    counters: Mutex<BTreeMap<&'static str, Counter>>,
}

impl Failures {
    /// Creates the counters of one route in `family`; `reasons` are shown from the start.
    pub(super) fn new(
        family: &Family<FailureLabels, Counter>,
        labels: &RouteLabels,
        reasons: &[&'static str],
    ) -> Self {
        let counters = reasons.iter().map(|reason| {
            let labels = FailureLabels {
                route: labels.route.clone(),
                cluster: labels.cluster.clone(),
                reason,
            };
            (*reason, family.get_or_create_owned(&labels))
        });
        Self {
            known: counters.collect(),
            counters: Mutex::default(),
            family: family.clone(),
            labels: labels.clone(),
        }
    }

    /// Counts a failed request. `reason` must be one of a small set.
    pub(super) fn count(&self, reason: &'static str) {
        if let Some((_, counter)) = self.known.iter().find(|(known, _)| *known == reason) {
            counter.inc();
            return;
        }
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = counters.entry(reason).or_insert_with(|| {
            self.family.get_or_create_owned(&FailureLabels {
                route: self.labels.route.clone(),
                cluster: self.labels.cluster.clone(),
                reason,
            })
        });
        counter.inc();
    }

    /// Returns the number of failed requests by reason, without reasons that did not occur.
    pub(super) fn all(&self) -> Vec<(&'static str, u64)> {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.known.iter().map(|(reason, count)| (reason, count));
        let all = known.chain(&*counters);
        let all = all.map(|(reason, count)| (*reason, count.get()));
        let mut all: Vec<_> = all.filter(|(_, count)| *count > 0).collect();
        all.sort_unstable();
        all
    }
}

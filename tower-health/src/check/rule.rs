use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, Weak};

use tokio::time::Instant;
use tower_classify::Class;
use tower_readiness::ignore_poison;
use tower_util::rng::Rng;

use super::{CheckConfig, CheckState, Verdict};
use crate::rule::{Endpoint, Rule};
use crate::task::Task;
use crate::{Health, Reason, Standing};

/// The rule of [`CheckHealth`](super::CheckHealth).
pub struct Checks<K: Hash + Eq + Clone + fmt::Debug> {
    pub(super) config: CheckConfig,
    schedule: Mutex<Schedule<K>>,
    pub(super) rng: Mutex<Box<dyn Rng + Send>>,
    pub(super) health: Health<K>,
    task: Task,
}

/// The state of an endpoint.
#[allow(unreachable_pub, unnameable_types, reason = "sealed")]
#[derive(Debug, Default)]
pub struct Checked {
    state: CheckState,
    /// Whether it has received a request since its last check.
    traffic: bool,
}

/// When to check each endpoint. An endpoint is in the schedule once, unless its check is running. A removed endpoint
/// stays until its check is due.
struct Schedule<K: Hash + Eq + Clone + fmt::Debug> {
    later: BinaryHeap<Reverse<Due<K>>>,
    now: VecDeque<Weak<Endpoint<Checks<K>>>>,
}

struct Due<K: Hash + Eq + Clone + fmt::Debug>(Instant, Weak<Endpoint<Checks<K>>>);

impl<K: Hash + Eq + Clone + fmt::Debug> Checks<K> {
    pub(super) fn new(config: CheckConfig, rng: Box<dyn Rng + Send>) -> Self {
        Self {
            config,
            schedule: Mutex::new(Schedule {
                later: BinaryHeap::new(),
                now: VecDeque::new(),
            }),
            rng: Mutex::new(rng),
            health: Health::new(),
            task: Task::default(),
        }
    }

    /// Whether the check of any endpoint is due.
    pub(super) fn has_due(&self) -> bool {
        !ignore_poison(self.schedule.lock()).now.is_empty()
    }

    /// Takes the next endpoint whose check is due.
    pub(super) fn take_due(&self) -> Option<Arc<Endpoint<Self>>> {
        let mut schedule = ignore_poison(self.schedule.lock());
        loop {
            if let Some(endpoint) = schedule.now.pop_front()?.upgrade()
                && endpoint.membership.is_here()
            {
                return Some(endpoint);
            }
        }
    }

    /// Records the verdict of a check, and schedules the next one.
    pub(super) fn checked(&self, endpoint: &Arc<Endpoint<Self>>, verdict: Verdict) {
        let now = Instant::now();
        let mut checked = ignore_poison(endpoint.state.lock());
        let healthy = checked.state.record(verdict, &self.config);
        // An ejected endpoint receives no requests; that must not delay its next check.
        let traffic = std::mem::take(&mut checked.traffic) || !healthy;
        drop(checked);
        let standing = match healthy {
            true => Standing::Healthy,
            false => Standing::Ejected(Reason::Checks),
        };
        // Only one check of an endpoint runs at a time, so the standing is set in order.
        drop(endpoint.membership.set(standing, now));
        let wait = self
            .config
            .wait(traffic, &mut **ignore_poison(self.rng.lock()));
        let at = now.checked_add(wait).unwrap_or(now + FAR);
        let due = Due(at, Arc::downgrade(endpoint));
        ignore_poison(self.schedule.lock()).later.push(Reverse(due));
    }
}

impl<K: Hash + Eq + Clone + fmt::Debug> Rule for Checks<K> {
    type Key = K;
    type State = Mutex<Checked>;
    type Attempt = ();

    fn health(&self) -> &Health<K> {
        &self.health
    }

    fn task(&self) -> &Task {
        &self.task
    }

    fn fresh(&self) -> (Self::State, Standing) {
        (Mutex::default(), Standing::Ejected(Reason::Unchecked))
    }

    fn entered(&self, endpoint: &Arc<Endpoint<Self>>) {
        let endpoint = Arc::downgrade(endpoint);
        ignore_poison(self.schedule.lock()).now.push_back(endpoint);
    }

    fn next_due(&self) -> Option<Instant> {
        let schedule = ignore_poison(self.schedule.lock());
        schedule.later.peek().map(|Reverse(Due(at, _))| *at)
    }

    fn run(&self, now: Instant) {
        let mut schedule = ignore_poison(self.schedule.lock());
        while let Some(Reverse(Due(at, _))) = schedule.later.peek()
            && *at <= now
        {
            let due = schedule.later.pop();
            schedule
                .now
                .extend(due.map(|Reverse(Due(_, endpoint))| endpoint));
        }
    }

    fn begin(&self, endpoint: &Arc<Endpoint<Self>>) {
        ignore_poison(endpoint.state.lock()).traffic = true;
    }

    fn end(&self, _: &Arc<Endpoint<Self>>, (): (), _: Class) {}
}

impl<K: Hash + Eq + Clone + fmt::Debug> PartialEq for Due<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<K: Hash + Eq + Clone + fmt::Debug> Eq for Due<K> {}

impl<K: Hash + Eq + Clone + fmt::Debug> PartialOrd for Due<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Hash + Eq + Clone + fmt::Debug> Ord for Due<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl<K: Hash + Eq + Clone + fmt::Debug> fmt::Debug for Checks<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checks")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// A year: in place of a duration whose sum with the time cannot be represented.
const FAR: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 3600);

use super::CheckConfig;

/// The result of a health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The endpoint is healthy.
    Healthy,
    /// The check failed, possibly by chance: the endpoint is ejected once the threshold is reached. Errors and timeouts
    /// of a check have this verdict.
    Failing,
    /// The endpoint reports that it is unhealthy: it is ejected immediately, whatever the threshold.
    Unhealthy,
}

/// Decides from the verdicts of its checks whether an endpoint is healthy, without clock or I/O.
///
/// ```
/// use tower_health::check::{CheckConfig, CheckState, Verdict};
///
/// let config = CheckConfig::default().thresholds(2, 2);
/// let mut state = CheckState::default();
/// assert_eq!(state.is_healthy(), None);
/// assert!(state.record(Verdict::Healthy, &config));
/// assert!(state.record(Verdict::Failing, &config));
/// assert!(!state.record(Verdict::Failing, &config));
/// assert!(!state.record(Verdict::Healthy, &config));
/// assert!(state.record(Verdict::Healthy, &config));
/// ```
#[derive(Debug, Clone, Default)]
pub struct CheckState {
    healthy: Option<bool>,
    /// The number of consecutive verdicts that contradict `healthy`.
    otherwise: u32,
}

impl CheckState {
    /// Returns whether the endpoint is healthy; `None` before the first check.
    pub const fn is_healthy(&self) -> Option<bool> {
        self.healthy
    }

    /// Records the verdict of a check. Returns whether the endpoint is healthy now.
    pub fn record(&mut self, verdict: Verdict, config: &CheckConfig) -> bool {
        let found = verdict == Verdict::Healthy;
        let Some(healthy) = self.healthy.filter(|_| verdict != Verdict::Unhealthy) else {
            return self.set(found);
        };
        if healthy == found {
            return self.set(found);
        }
        self.otherwise = self.otherwise.saturating_add(1);
        let threshold = match found {
            true => config.healthy_threshold,
            false => config.unhealthy_threshold,
        };
        match self.otherwise >= threshold {
            true => self.set(found),
            false => healthy,
        }
    }

    fn set(&mut self, healthy: bool) -> bool {
        self.healthy = Some(healthy);
        self.otherwise = 0;
        healthy
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Failing, Healthy, Unhealthy};
    use super::*;

    #[test]
    fn only_consecutive_verdicts_count_except_the_first_one_and_unhealthy() {
        let config = CheckConfig::default().thresholds(2, 3);
        let mut state = CheckState::default();
        for (step, (verdict, healthy)) in [
            (Failing, false),
            (Healthy, false),
            (Failing, false),
            (Healthy, false),
            (Healthy, true),
            (Failing, true),
            (Failing, true),
            (Healthy, true),
            (Failing, true),
            (Failing, true),
            (Failing, false),
            (Healthy, false),
            (Healthy, true),
            (Unhealthy, false),
            (Healthy, false),
            (Unhealthy, false),
            (Healthy, false),
            (Healthy, true),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(state.record(verdict, &config), healthy, "step {step}");
        }
        let mut new = CheckState::default();
        assert!(new.record(Healthy, &config));
    }
}

use super::CheckConfig;

/// What a check has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The endpoint is well.
    Healthy,
    /// The check failed, which may be chance: the threshold decides. An error and a timeout are this too.
    Failing,
    /// The endpoint says itself that it is not well: that is enough, whatever the threshold.
    Unhealthy,
}

/// What the checks of one endpoint have found until now, without clock or I/O.
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
    /// How many in a row have found otherwise.
    otherwise: u32,
}

impl CheckState {
    /// Whether it is healthy; `None` before the first check.
    pub const fn is_healthy(&self) -> Option<bool> {
        self.healthy
    }

    /// A check has ended. Whether the endpoint is healthy now.
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
    fn verdicts_count_in_a_row_but_for_the_first_one_and_what_the_endpoint_says_itself() {
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

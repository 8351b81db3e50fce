use std::collections::VecDeque;

/// The last reported numbers of requests in flight, for their quantiles.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    in_order: VecDeque<u32>,
    sorted: Vec<u32>,
}

impl Seen {
    pub(super) fn add(&mut self, rif: u32) {
        if self.in_order.len() == WINDOW
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.sorted
                .remove(self.sorted.partition_point(|other| *other < oldest));
        }
        self.in_order.push_back(rif);
        self.sorted
            .insert(self.sorted.partition_point(|other| *other < rif), rif);
    }

    /// Returns the quantile, rounded down, so that only 1.0 returns the maximum.
    pub(super) fn quantile(&self, part: f64) -> u32 {
        let index = self.sorted.len().saturating_sub(1) as f64 * part;
        self.sorted.get(index as usize).copied().unwrap_or(0)
    }
}

const WINDOW: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_values_count() {
        let mut seen = Seen::default();
        assert_eq!(seen.quantile(0.5), 0);
        (0..1000).for_each(|rif| seen.add(rif));
        assert_eq!((seen.quantile(0.0), seen.quantile(1.0)), (1000 - 128, 999));
        assert_eq!(seen.quantile(0.5), 1000 - 128 + 63);
    }
}

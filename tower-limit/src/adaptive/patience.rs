use std::time::Duration;

/// Estimates how long a caller must have waited before it is the service's fault that it gave up.
///
/// That is the retransmission timeout of TCP (RFC 6298, section 2): the average latency plus four times its mean deviation. If
/// latencies are distributed exponentially, one request in fifty takes longer.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// In seconds; `None` before the first response.
    average: Option<f64>,
    deviation: f64,
}

impl Patience {
    pub(super) fn record(&mut self, latency: Duration) {
        let latency = latency.as_secs_f64();
        match &mut self.average {
            None => {
                self.average = Some(latency);
                self.deviation = latency / 2.0;
            }
            Some(average) => {
                let error = latency - *average;
                self.deviation += (error.abs() - self.deviation) / 4.0;
                *average += error / 8.0;
            }
        }
    }

    /// Returns whether a request that was given up after `waited` should have had a response by then. `false` before the first
    /// response.
    pub(super) fn is_exceeded(&self, waited: Duration) -> bool {
        self.average
            .is_some_and(|average| waited.as_secs_f64() > average + 4.0 * self.deviation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_retransmission_timeout_of_tcp() {
        let ms = Duration::from_millis;
        let mut patience = Patience::default();
        assert!(!patience.is_exceeded(Duration::MAX));
        patience.record(ms(100));
        // 100 + 4 × 50
        assert!(!patience.is_exceeded(ms(300)) && patience.is_exceeded(ms(301)));
        patience.record(ms(180));
        // 110 + 4 × (50 + (80 - 50) ÷ 4)
        assert!(!patience.is_exceeded(ms(339)) && patience.is_exceeded(ms(341)));
    }
}

//! Which requests are sent a second time before the first has an answer.

use std::time::Duration;

use serde::Deserialize;

use super::value::{DurationText, ExtraLoad, Percentile, Switch, Window, read};

/// Which requests are slow, and how many of them are sent a second time.
///
/// Those with a safe method, or an `idempotency-key`, when all of their body has come and is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a table such as { percentile = 0.99 }"
)]
pub struct Hedge {
    /// Those that take longer than such a share of the recent requests, from 0.5 to 1. By default 0.99.
    #[serde(deserialize_with = "read::<Percentile, _>")]
    pub percentile: f64,
    /// How long requests are recent, at least 100 ms. There are no hedges in the first fifth of it. By default 30 seconds.
    #[serde(deserialize_with = "read::<Window, _>")]
    pub window: Duration,
    /// And not before. By default 1 ms.
    #[serde(deserialize_with = "read::<DurationText, _>")]
    pub min_delay: Duration,
    /// The maximum number of hedges for each request that succeeds, from 0 to 1. By default 0.01.
    #[serde(deserialize_with = "read::<ExtraLoad, _>")]
    pub max_extra_load: f64,
    /// Whether the budget of the retries counts in its place. By default not.
    #[serde(deserialize_with = "read::<Switch, _>")]
    pub share_retry_budget: bool,
    /// Whether gRPC calls are hedged as well. By default they are not, since they may not be safe to do twice.
    #[serde(deserialize_with = "read::<Switch, _>")]
    pub grpc: bool,
}

impl Default for Hedge {
    fn default() -> Self {
        Self {
            percentile: 0.99,
            window: Duration::from_secs(30),
            min_delay: Duration::from_millis(1),
            max_extra_load: 0.01,
            share_retry_budget: false,
            grpc: false,
        }
    }
}

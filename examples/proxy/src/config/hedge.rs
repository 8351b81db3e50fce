//! Which requests are hedged: sent to a second endpoint before the first has answered.

use std::time::Duration;

use serde::Deserialize;

use super::value::{DurationText, ExtraLoad, Percentile, Switch, Window, read};

/// Which requests are hedged, and how many.
///
/// Only those with a safe method or an `idempotency-key`, once all of their body has arrived and is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a table such as { percentile = 0.99 }"
)]
pub struct Hedge {
    /// A request that takes longer than this quantile of recent latencies is hedged, from 0.5 to 1. By default 0.99.
    #[serde(deserialize_with = "read::<Percentile, _>")]
    pub percentile: f64,
    /// The time over which latencies are recorded, at least 100 ms. In its first fifth there are no hedges. By default
    /// 30 seconds.
    #[serde(deserialize_with = "read::<Window, _>")]
    pub window: Duration,
    /// The minimum delay before a hedge. By default 1 ms.
    #[serde(deserialize_with = "read::<DurationText, _>")]
    pub min_delay: Duration,
    /// The maximum number of hedges for each successful request, from 0 to 1. By default 0.01.
    #[serde(deserialize_with = "read::<ExtraLoad, _>")]
    pub max_extra_load: f64,
    /// Whether hedges draw on the retry budget instead of `max_extra_load`. By default `false`.
    #[serde(deserialize_with = "read::<Switch, _>")]
    pub share_retry_budget: bool,
    /// Whether gRPC calls are hedged. All methods of the route must then be safe to process twice. By default `false`.
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

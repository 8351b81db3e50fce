//! Retries: which results are retried, and how often.

use std::sync::Arc;
use std::time::Duration;

use tower::retry::backoff::Schedule;
use tower::retry::budget::TpsBudget;
use tower::retry::http::HttpRules;
use tower::retry::{Attempt, GaveUp, Next, PerAttempt, RetryPolicy};

use super::classify::RetryErrors;
use crate::config::Retry;
use crate::metrics::RouteStats;

/// Returns the retry policy of one route: [`RetryPolicy::http`] with the configured limits.
pub fn policy(
    config: &Retry,
    stats: &RouteStats,
) -> RetryPolicy<HttpRules<RetryErrors>, PerAttempt> {
    let (retries, refused) = (stats.retries.clone(), stats.retries_refused.clone());
    RetryPolicy::http()
        .attempts(config.max_attempts)
        .backoff(Schedule::exponential(
            config.initial_backoff,
            config.max_backoff,
        ))
        .budget(Arc::new(TpsBudget::new(
            BUDGET_WINDOW,
            config.min_retries_per_second,
            config.retry_ratio,
        )))
        .attempt_timeout(config.per_try_timeout)
        .statuses(config.retriable_status_codes.iter().copied())
        .grpc_codes(config.retriable_grpc_codes.iter().copied())
        .retry_after_max(config.max_retry_after)
        .replay_limit(config.max_replay_bytes)
        .errors(RetryErrors)
        .on_attempt(move |attempt: &Attempt| match attempt.next {
            Next::RetryAfter(_) => drop(retries.inc()),
            Next::GaveUp(GaveUp::Budget) => drop(refused.inc()),
            _ => {}
        })
        .build()
}

/// The window over which the budget counts requests.
const BUDGET_WINDOW: Duration = Duration::from_secs(10);

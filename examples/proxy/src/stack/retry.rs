//! Retries: which results are retried, and how often.

use std::sync::Arc;
use std::time::Duration;

use tower::BoxError;
use tower::classify::http::ClassifyError;
use tower::classify::{Class, FailureKind, cause_ref};
use tower::retry::backoff::Schedule;
use tower::retry::budget::TpsBudget;
use tower::retry::http::HttpRules;
use tower::retry::{Attempt, GaveUp, Next, PerAttempt, RetryPolicy};
use tower::timeout::error::Elapsed;

use crate::config::Retry;
use crate::metrics::RouteStats;
use crate::upstream::UpstreamError;

/// Returns the retry policy of one route: [`RetryPolicy::http`] with the configured limits.
pub fn policy(config: &Retry, stats: &RouteStats) -> RetryPolicy<HttpRules<Upstream>, PerAttempt> {
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
        .errors(Upstream)
        .on_attempt(move |attempt: &Attempt| match attempt.next {
            Next::RetryAfter(_) => drop(retries.inc()),
            Next::GaveUp(GaveUp::Budget) => drop(refused.inc()),
            _ => {}
        })
        .build()
}

/// Classifies the errors of a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Upstream;

impl ClassifyError<BoxError> for Upstream {
    fn classify_error(&self, error: &BoxError) -> Class {
        match cause_ref::<UpstreamError>(error.as_ref()) {
            // A retry would end the same way.
            Some(UpstreamError::RequestBody(_) | UpstreamError::HeadTooLarge) => Class::Ignored,
            Some(upstream) if upstream.is_unsent() => Class::Unsent,
            Some(_) => Class::failure(FailureKind::Disconnected),
            // An attempt that timed out may have been processed.
            None if cause_ref::<Elapsed>(error.as_ref()).is_some() => {
                Class::failure(FailureKind::Timeout)
            }
            // No endpoint is ready, or the queue is closed: an immediate retry would end the same way.
            None => Class::Ignored,
        }
    }
}

/// The window over which the budget counts requests.
const BUDGET_WINDOW: Duration = Duration::from_secs(10);

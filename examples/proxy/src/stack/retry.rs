//! Which requests go to an upstream a second time.

use std::sync::Arc;
use std::time::Duration;

use tower::BoxError;
use tower::retry::backoff::Schedule;
use tower::retry::budget::TpsBudget;
use tower::retry::http::{ErrorKind, HttpClassify, JudgeError};
use tower::retry::{Attempt, GaveUp, Next, PerAttempt, RetryPolicy};
use tower::timeout::error::Elapsed;

use crate::config::Retry;
use crate::front::failure::cause_of;
use crate::metrics::RouteStats;
use crate::upstream::UpstreamError;

/// The policy of one route: that of [`RetryPolicy::http`], as it is configured.
pub fn policy(
    config: &Retry,
    stats: &RouteStats,
) -> RetryPolicy<HttpClassify<Upstream>, PerAttempt> {
    let (retries, refused) = (stats.retries.clone(), stats.retries_refused.clone());
    RetryPolicy::http()
        .attempts(config.attempts)
        .backoff(Schedule::exponential(config.backoff, config.max_backoff))
        .budget(Arc::new(TpsBudget::new(
            BUDGET_WINDOW,
            config.min_per_second,
            config.budget,
        )))
        .attempt_timeout(config.attempt_timeout)
        .statuses(config.statuses.iter().copied())
        .grpc_codes(config.grpc_codes.iter().copied())
        .retry_after_max(config.max_retry_after)
        .replay_limit(config.replay_bytes)
        .judge_errors(Upstream)
        .on_attempt(move |attempt: &Attempt| match attempt.next {
            Next::RetryAfter(_) => drop(retries.inc()),
            Next::GaveUp(GaveUp::Budget) => drop(refused.inc()),
            _ => {}
        })
        .build()
}

/// Says what the errors of a cluster mean.
#[derive(Debug, Clone, Copy)]
pub struct Upstream;

impl JudgeError<BoxError> for Upstream {
    fn judge(&self, error: &BoxError) -> ErrorKind {
        match cause_of::<UpstreamError>(error.as_ref()) {
            // Another try would come to the same.
            Some(UpstreamError::RequestBody(_) | UpstreamError::HeadTooLarge) => ErrorKind::Final,
            Some(upstream) if upstream.is_unsent() => ErrorKind::Unsent,
            Some(_) => ErrorKind::Broken,
            // An attempt took too long: nobody knows what has become of it.
            None if cause_of::<Elapsed>(error.as_ref()).is_some() => ErrorKind::Broken,
            // Nothing below is ready, or the queue is gone: trying again at once would only be more of the same.
            None => ErrorKind::Final,
        }
    }
}

/// The budget looks back so far.
const BUDGET_WINDOW: Duration = Duration::from_secs(10);

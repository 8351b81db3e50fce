use std::time::Duration;

use tower_readiness::LayerEvent;

/// An attempt that has ended, as passed to the function of [`Builder::on_attempt`](crate::Builder::on_attempt).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// The number of the attempt; the first is 1.
    pub number: u32,
    /// Whether the request is sent again, or how it ended.
    pub next: Next,
}

/// What happens after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// The attempt has succeeded: its response is returned to the caller.
    Success,
    /// The attempt has failed and is not worth a retry: its result is returned to the caller.
    Failure,
    /// The attempt has failed, and the next one starts after this time.
    RetryAfter(Duration),
    /// The attempt has failed, and is not retried although a retry might have succeeded: its result is returned to the caller.
    GaveUp(GaveUp),
}

/// Why a failed request is not retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GaveUp {
    /// The maximum number of attempts was made, or the backoff schedule has ended.
    Attempts,
    /// The budget is used up.
    Budget,
    /// The request's deadline passes before the next attempt could start.
    Deadline,
    /// The request's body cannot be replayed, since the part that was sent is not buffered any more.
    Body,
    /// The server asked not to retry, or to wait longer than the clock can represent.
    Refused,
}

impl LayerEvent for Attempt {
    const LAYER: &'static str = "retry";

    fn kind(&self) -> &'static str {
        match self.next {
            Next::Success => "success",
            Next::Failure => "failure",
            Next::RetryAfter(_) => "retried",
            Next::GaveUp(GaveUp::Attempts) => "gave_up_attempts",
            Next::GaveUp(GaveUp::Budget) => "gave_up_budget",
            Next::GaveUp(GaveUp::Deadline) => "gave_up_deadline",
            Next::GaveUp(GaveUp::Body) => "gave_up_body",
            Next::GaveUp(GaveUp::Refused) => "gave_up_refused",
        }
    }
}

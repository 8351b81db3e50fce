use std::time::Duration;

/// An attempt that has failed, as told to [`Builder::on_failure`](crate::Builder::on_failure).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// Which it was; the first is 1.
    pub number: u32,
    /// What comes next.
    pub next: Next,
}

/// What comes after an attempt that has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// Another one, after so long.
    RetryAfter(Duration),
    /// None, although another one might have succeeded.
    GaveUp(GaveUp),
}

/// Why there is no other attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GaveUp {
    /// There were as many as there may be, or the backoff has come to its end.
    Attempts,
    /// The budget is used up.
    Budget,
    /// The request's deadline would have passed before the next one.
    Deadline,
    /// The request cannot be sent again: what was sent of its body is not held any more.
    Body,
    /// The server asked not to try again.
    Refused,
}

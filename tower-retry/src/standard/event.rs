use std::time::Duration;

/// An attempt that has ended, as told to [`Builder::on_attempt`](crate::Builder::on_attempt).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// Which it was; the first is 1.
    pub number: u32,
    /// What comes of it.
    pub next: Next,
}

/// What comes of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// It has succeeded.
    Success,
    /// It has failed, and another one would as well.
    Failure,
    /// It has failed, and there is another one after so long.
    RetryAfter(Duration),
    /// It has failed, and there is no other one, although that might have succeeded.
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
    /// The server asked not to try again, or not in any time that the clock can tell.
    Refused,
}

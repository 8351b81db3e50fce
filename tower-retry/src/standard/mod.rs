//! The policy that suits most services, in parts: what is tried again, how often, when, and who is told.

mod builder;
mod classify;
mod event;
mod retry_policy;
mod timer;
mod wait;

pub use self::builder::Builder;
pub use self::classify::{Classify, EveryError, RetryIf, Verdict};
pub use self::event::{Attempt, GaveUp, Next};
pub use self::retry_policy::RetryPolicy;
pub use self::timer::{AttemptTimer, NoTimeout, PerAttempt};
pub use self::wait::Wait;

//! The policy that suits most services, in parts: what is tried again, how often, when, and who is told.

mod builder;
mod event;
mod retry_policy;
mod rules;
mod timer;
mod wait;

pub use self::builder::Builder;
pub use self::event::{Attempt, GaveUp, Next};
pub use self::retry_policy::RetryPolicy;
pub use self::rules::{CloneRequest, RetryIf, RetryRules};
pub use self::timer::{AttemptTimer, NoTimeout, PerAttempt};
pub use self::wait::Wait;

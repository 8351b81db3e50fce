//! The standard policy, in parts: the builder, the rules, the timers, the waits and the events for observers.

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

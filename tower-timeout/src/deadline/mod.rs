mod enforce;
mod value;

pub use self::enforce::{EnforceDeadline, EnforceDeadlineLayer, EnforceFuture};
pub use self::value::Deadline;

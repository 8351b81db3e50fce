use std::error::Error;
use std::fmt;

/// The parameters of a policy are invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidPolicy(pub(super) &'static str);

impl fmt::Display for InvalidPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid policy: {}", self.0)
    }
}

impl Error for InvalidPolicy {}

/// Returns an error with this text if the condition does not hold.
pub(super) fn ensure(condition: bool, otherwise: &'static str) -> Result<(), InvalidPolicy> {
    if condition {
        Ok(())
    } else {
        Err(InvalidPolicy(otherwise))
    }
}

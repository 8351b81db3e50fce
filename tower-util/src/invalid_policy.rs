use std::error::Error;
use std::fmt;

/// The parameters of a policy are invalid: of one that picks an endpoint, or of one that decides whether an endpoint is healthy.
///
/// # Example
///
/// ```
/// use tower_util::InvalidPolicy;
///
/// fn half(percent: u32) -> Result<u32, InvalidPolicy> {
///     InvalidPolicy::ensure(percent <= 100, "a percentage is at most 100")?;
///     Ok(percent / 2)
/// }
///
/// assert_eq!(half(100), Ok(50));
/// let error = half(101).unwrap_err();
/// assert_eq!(error.to_string(), "invalid policy: a percentage is at most 100");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidPolicy(&'static str);

impl InvalidPolicy {
    /// Returns an error with the text `otherwise` unless `condition` holds.
    ///
    /// # Errors
    ///
    /// If `condition` is `false`.
    pub const fn ensure(condition: bool, otherwise: &'static str) -> Result<(), Self> {
        if condition {
            Ok(())
        } else {
            Err(Self(otherwise))
        }
    }
}

impl fmt::Display for InvalidPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid policy: {}", self.0)
    }
}

impl Error for InvalidPolicy {}

//! The classes of status codes.

use http::StatusCode;

/// The names of the classes in the metrics.
pub(super) const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Returns the index of the class of `status` in [`CLASSES`].
pub(super) fn class_of(status: StatusCode) -> usize {
    usize::from(status.as_u16() / 100).clamp(1, 5) - 1
}

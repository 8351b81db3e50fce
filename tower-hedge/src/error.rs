use std::fmt;
use std::time::Duration;

/// A setting of a [`Builder`](crate::Builder) is out of range.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum InvalidHedge {
    /// The percentile is not greater than 0 and at most 1.
    Percentile(f64),
    /// The window is shorter than 100 milliseconds.
    Window(Duration),
    /// The number of attempts is not from 2 to 5.
    Attempts(u32),
    /// The share of hedges is not from 0 to 1.
    MaxExtra(f64),
}

impl fmt::Display for InvalidHedge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percentile(found) => write!(
                f,
                "the percentile is {found}, and must be greater than 0 and at most 1"
            ),
            Self::Window(found) => {
                write!(f, "the window is {found:?}, and must be at least 100ms")
            }
            Self::Attempts(found) => {
                write!(
                    f,
                    "the number of attempts is {found}, and must be from 2 to 5"
                )
            }
            Self::MaxExtra(found) => {
                write!(f, "the share of hedges is {found}, and must be from 0 to 1")
            }
        }
    }
}

impl std::error::Error for InvalidHedge {}

//! The values that occur in a file, each with its words for what is accepted.

mod endpoint;
mod number;
mod text;
mod time;
mod visit;

pub use self::endpoint::Endpoint;
pub(super) use self::number::*;
pub(super) use self::text::*;
pub(super) use self::time::*;

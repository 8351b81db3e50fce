//! Validation and rewriting of a request's head.

pub mod authority;
pub mod fields;
pub mod hop;
pub mod path;

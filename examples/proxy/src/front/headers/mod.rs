//! What is accepted of a request's head, and what is changed in it.

pub mod authority;
pub mod hop;
pub mod path;

//! Nothing: what counts is in `faults.rs`.

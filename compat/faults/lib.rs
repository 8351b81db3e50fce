//! Empty: the tests are in `faults.rs`.

//! Empty: see `run`.

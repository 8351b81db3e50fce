//! What it depends on is what counts.

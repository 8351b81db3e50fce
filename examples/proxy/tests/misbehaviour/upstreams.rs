//! Upstreams that allow little, die quietly, or do not answer.

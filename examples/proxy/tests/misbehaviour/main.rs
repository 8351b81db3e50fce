//! Peers that are slow, silent, do not read, disappear or trickle, on both sides: each with the time after which its
//! resources must be released, and with the effect on others.

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod clients;
mod raw;
mod silence;
mod uploads;
mod upstreams;

//! Peers that are slow, silent, do not read, vanish or trickle, on both sides: each with the time after which what it held is
//! free again, and with what others notice of it.

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod clients;
mod raw;
mod silence;
mod uploads;
mod upstreams;

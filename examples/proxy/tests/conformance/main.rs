//! A battery of raw exchanges through the proxy: bytes in, what the other side may see of them, and what the client gets.
//!
//! Each row names the section of the RFC that it is about. The tables are by the subject; what they run on is in `row.rs`.
#![allow(
    unreachable_pub,
    reason = "the modules of a test are seen by nobody else"
)]

#[path = "../support/mod.rs"]
mod support;

mod config;
mod http1;
mod http2;
mod message;
mod row;

// Tables, in which a row is best a line.
#[rustfmt::skip]
mod answers;
#[rustfmt::skip]
mod authority;
#[rustfmt::skip]
mod fields;
#[rustfmt::skip]
mod framing;
#[rustfmt::skip]
mod heads;
#[rustfmt::skip]
mod interim;
#[rustfmt::skip]
mod path;

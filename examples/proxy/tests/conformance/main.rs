//! Raw exchanges through the proxy: the bytes that one side sends, what the other side may receive, and what the client
//! gets.
//!
//! Each row names the section of the RFC that it is about. Each table has one subject; `row.rs` runs them.
#![allow(unreachable_pub, reason = "the modules of a test are private to it")]

#[path = "../support/mod.rs"]
mod support;

mod config;
mod http1;
mod http2;
mod message;
mod row;

// Tables are most readable with one line per row.
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

//! Guides: how to combine the layers, and answers to common questions.
//!
//! | you want to | read |
//! |---|---|
//! | choose layers and their order | [`layers`] |
//! | tell errors apart, and respond to them | [`errors`] |
//! | clone, share or write a service; use a limit under axum | [`readiness`] |
//! | call a service that sometimes fails | [`client`] |
//! | protect a server from overload | [`server`] |
//! | call several gRPC servers | [`grpc`] |
//! | test a stack without waiting, and deterministically | [`testing`] |
//! | observe a stack | [`observing`] |
//!
//! The examples are complete programs. Each runs with these lines in `Cargo.toml`, unless its page names more:
//!
//! ```toml
//! [dependencies]
//! tokio = { version = "1", features = ["full"] }
//! tower = { version = "0.5", features = ["full"] }
//!
//! [patch.crates-io]
//! tower = { path = "../tower/tower" }    # wherever this repository is
//! ```
//!
//! This module exists only in the documentation: it has no items to import.

// `axum.md`, `gateway.md` and `tonic.md` need crates that the facade does not depend on, not even for tests. They are included
// here, and run as tests in `compat/programs`.

#[doc = include_str!("guide/layers.md")]
pub mod layers {}

#[doc = include_str!("guide/errors.md")]
pub mod errors {}

#[doc = include_str!("guide/readiness.md")]
#[cfg_attr(not(doctest), doc = include_str!("guide/axum.md"))]
pub mod readiness {}

#[doc = include_str!("guide/client.md")]
#[cfg_attr(not(doctest), doc = include_str!("guide/gateway.md"))]
pub mod client {}

#[doc = include_str!("guide/server.md")]
pub mod server {}

#[doc = include_str!("guide/grpc.md")]
#[cfg_attr(not(doctest), doc = include_str!("guide/tonic.md"))]
pub mod grpc {}

#[doc = include_str!("guide/testing.md")]
pub mod testing {}

#[doc = include_str!("guide/observing.md")]
pub mod observing {}

//! Guides: how to put the layers together, and what new users get stuck at.
//!
//! | you want to | read |
//! |---|---|
//! | know which layer does what, and which goes outside of which | [`layers`] |
//! | tell one failure from another, and answer it | [`errors`] |
//! | clone, share or hand-write a service; use a limit under axum | [`readiness`] |
//! | call a service that fails now and then | [`client`] |
//! | keep a server alive under too much load | [`server`] |
//! | call several gRPC servers | [`grpc`] |
//! | test a stack without waiting and without luck | [`testing`] |
//! | see what a stack does | [`observing`] |
//!
//! The examples are whole programs. Each runs as it stands with these lines in `Cargo.toml`, unless its page names more:
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
//! This module exists in the documentation only: there is nothing in it to import.

// `axum.md`, `gateway.md` and `tonic.md` need crates that the facade does not depend on, not even for tests. They are shown here,
// and run as tests in `compat/programs`.

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

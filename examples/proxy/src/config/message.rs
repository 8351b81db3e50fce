//! How messages are passed on.

use serde::Deserialize;

use super::default;

/// How large the head of a message may be, and its trailers.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// In bytes.
    pub size: usize,
    /// How many fields over HTTP/1. `None` for as many as hyper takes by itself, 100.
    pub fields: Option<usize>,
}

impl Default for Heads {
    fn default() -> Self {
        Self {
            size: default::max_header_bytes(),
            fields: None,
        }
    }
}

/// How the path of a request is matched with routes, and forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case", expecting = "\"normalized\" or \"as_sent\"")]
pub enum Paths {
    /// In the one normal form that [`normalize`](crate::path::normalize) makes.
    #[default]
    Normalized,
    /// As the client sent it, so that one with `//`, `..` or `%61` may walk round a route.
    AsSent,
}

/// What a proxy is called in `via`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Via {
    /// A name of its own for each process.
    #[default]
    Unique,
    /// This one. Two proxies in a row must not have the same.
    Name(String),
    /// The field is not written, and loops are not seen.
    Off,
}

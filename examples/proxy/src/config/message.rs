//! How messages are forwarded.

use serde::Deserialize;

use super::default;
use super::value::{Kind, is_name};

/// The maximum size of the headers of a message, and of its trailers.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// The maximum size in bytes.
    pub size: usize,
    /// The maximum number of fields over HTTP/1. `None` for hyper's default, 100.
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
    /// In the normal form that [`normalize`](crate::front::headers::path::normalize) makes.
    #[default]
    Normalized,
    /// As the client sent it: one with `//`, `..` or `%61` can bypass a route.
    AsSent,
}

/// The proxy's name in `via`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Via {
    /// A name that is unique to the process.
    #[default]
    Unique,
    /// This name. Two proxies in a row must not have the same.
    Name(String),
    /// No `via` is written, and loops are not detected.
    Off,
}

impl Kind for Via {
    type Value = Self;
    const EXPECTED: &'static str = r#"a name such as "edge-1", or "off""#;

    fn text(text: &str) -> Option<Self> {
        match text {
            "off" => Some(Self::Off),
            text => is_name(text).then(|| Self::Name(text.to_owned())),
        }
    }
}

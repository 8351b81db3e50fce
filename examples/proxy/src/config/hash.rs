//! The hash key of a request, for consistent hashing.

use std::fmt;

use http::HeaderName;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Unexpected, Visitor};

use super::value::some;

/// The hash key of a request, for consistent hashing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HashKey {
    /// The path, without the query.
    #[default]
    Path,
    /// The value of a header. Requests without it go to any endpoint.
    Header(HeaderName),
    /// The value of a cookie. Requests without it go to any endpoint.
    Cookie(String),
}

impl<'de> Deserialize<'de> for HashKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordOrTable)
    }
}

struct WordOrTable;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default, deserialize_with = "some::<HeaderName, _>")]
    header: Option<HeaderName>,
    cookie: Option<String>,
}

impl<'de> Visitor<'de> for WordOrTable {
    type Value = HashKey;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#""path", { header = "x-user" } or { cookie = "session" }"#)
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<HashKey, E> {
        match word {
            "path" => Ok(HashKey::Path),
            _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<HashKey, A::Error> {
        match Table::deserialize(MapAccessDeserializer::new(entries))? {
            Table {
                header: Some(name),
                cookie: None,
            } => Ok(HashKey::Header(name)),
            Table {
                header: None,
                cookie: Some(name),
            } => Ok(HashKey::Cookie(name)),
            _ => Err(A::Error::invalid_value(Unexpected::Map, &self)),
        }
    }
}

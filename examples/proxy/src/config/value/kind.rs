//! What a kind of value is, and how values are read.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// A kind of value: how it is written in TOML, and what it is in [`Config`](crate::config::Config).
///
/// A kind implements one of the functions that parse. The others reject by default.
pub(in crate::config) trait Kind {
    /// What it is read into.
    type Value;

    /// What is accepted, after "expected".
    const EXPECTED: &'static str;

    /// What is accepted where a list of them is expected, after "expected".
    const LIST: &'static str = "a list";

    /// Writes what is accepted. By default, [`EXPECTED`](Self::EXPECTED).
    fn expecting(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::EXPECTED)
    }

    fn text(_text: &str) -> Option<Self::Value> {
        None
    }

    fn float(_number: f64) -> Option<Self::Value> {
        None
    }

    fn integer(number: i64) -> Option<Self::Value> {
        Self::float(number as f64)
    }

    fn boolean(_value: bool) -> Option<Self::Value> {
        None
    }
}

/// Reads a value of this kind: `#[serde(deserialize_with = "read::<Percent, _>")]`.
///
/// # Errors
///
/// The error says what was found and what is accepted.
pub(in crate::config) fn read<'de, K: Kind, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<K::Value, D::Error> {
    deserializer.deserialize_any(Reader::<K>(PhantomData))
}

/// Like [`read`], for a key that is `None` if the file does not have it.
pub(in crate::config) fn some<'de, K: Kind, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<K::Value>, D::Error> {
    read::<K, D>(deserializer).map(Some)
}

struct Reader<K>(PhantomData<K>);

impl<K: Kind> Visitor<'_> for Reader<K> {
    type Value = K::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        K::expecting(f)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<K::Value, E> {
        K::text(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<K::Value, E> {
        K::integer(number).ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<K::Value, E> {
        K::float(number).ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<K::Value, E> {
        K::boolean(value).ok_or_else(|| E::invalid_value(Unexpected::Bool(value), &self))
    }
}

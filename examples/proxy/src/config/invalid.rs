//! An invalid value: the errors of serde as data, so that the text uses the terms of TOML and not of Rust.

use std::fmt;
use std::ops::Range;

use serde::de::{Error, Expected, Unexpected};

use super::key::Key;
use super::renamed;

/// An invalid value or key. [`ConfigError`](super::ConfigError) adds the line of the file.
#[derive(Debug)]
pub(super) struct Invalid {
    pub(super) message: String,
    /// `None` until it is set.
    pub(super) key: Option<Key>,
    /// `None` if only the key is known.
    pub(super) span: Option<Range<usize>>,
}

impl Invalid {
    /// Creates the error of a file that has `found` where `expected` is accepted.
    pub(super) fn found(found: impl fmt::Display, expected: impl fmt::Display) -> Self {
        Self::custom(format_args!("found {found}; expected {expected}"))
    }

    /// Sets the key, whose position in the file is not known here.
    pub(super) fn under(self, key: Key) -> Self {
        Self {
            key: Some(key),
            ..self
        }
    }

    /// Sets the position, unless a value inside this one has set its own.
    pub(super) fn at(mut self, key: &Key, span: Range<usize>) -> Self {
        if self.key.is_none() {
            self.key = Some(key.clone());
            self.span = Some(span);
        }
        self
    }
}

impl Error for Invalid {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            message: message.to_string(),
            key: None,
            span: None,
        }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::found(Found(found), expected)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::found(Found(found), expected)
    }

    fn unknown_variant(found: &str, accepted: &'static [&'static str]) -> Self {
        Self::found(format_args!("`{found}`"), OneOf(accepted))
    }

    fn unknown_field(found: &str, accepted: &'static [&'static str]) -> Self {
        match renamed::name_of(found, accepted) {
            Some(name) => {
                Self::custom(format_args!("unknown key `{found}`: it is called `{name}`"))
            }
            None => Self::custom(format_args!(
                "unknown key `{found}`; expected {}",
                OneOf(accepted)
            )),
        }
    }

    fn missing_field(missing: &'static str) -> Self {
        Self::custom(format_args!("the key `{missing}` is missing"))
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Invalid {}

/// A value, in the terms of TOML.
struct Found<'a>(Unexpected<'a>);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unexpected::Str(text) => write!(f, "{text:?}"),
            Unexpected::Float(number) => write!(f, "number `{number}`"),
            Unexpected::Seq => f.write_str("a list"),
            Unexpected::Map => f.write_str("a table"),
            other => write!(f, "{other}"),
        }
    }
}

struct OneOf(&'static [&'static str]);

impl fmt::Display for OneOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("nothing"),
            [only] => write!(f, "`{only}`"),
            [one, other] => write!(f, "`{one}` or `{other}`"),
            [first, rest @ ..] => {
                write!(f, "one of `{first}`")?;
                rest.iter().try_for_each(|name| write!(f, ", `{name}`"))
            }
        }
    }
}

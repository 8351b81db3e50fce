//! The deserializer: gives toml's syntax tree to serde, and its errors a key and a position.
//!
//! The deserializer of the crate `toml` reports errors only as text with Rust terms. The parts of the messages here
//! (`unknown_field`, `invalid_type` ...) are available only to a separate error type.

use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{Deserializer, Error as _, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use toml::Spanned;
use toml::de::{DeString, DeValue};

use super::invalid::Invalid;
use super::key::Key;

/// A value of the file.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    text: &'a str,
    key: Key,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Node<'a> {
    /// Returns the top-level table of the file with this text.
    pub(super) fn root(text: &'a str, root: &'a Spanned<DeValue<'a>>) -> Self {
        Self {
            text,
            key: Key::default(),
            value: root,
        }
    }

    fn inner(&self, key: Key, value: &'a Spanned<DeValue<'a>>) -> Self {
        let text = self.text;
        Self { text, key, value }
    }

    /// Returns the value as it is written in the file, or its kind if it has several parts.
    fn written(&self) -> &'a str {
        match self.value.get_ref() {
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
            _ => self.text.get(self.value.span()).unwrap_or_default(),
        }
    }

    fn mismatch(&self, expected: impl std::fmt::Display) -> Invalid {
        Invalid::found(self.written(), expected).at(&self.key, self.value.span())
    }

    fn visit<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Invalid> {
        match self.value.get_ref() {
            DeValue::String(text) => visitor.visit_str(text),
            DeValue::Boolean(value) => visitor.visit_bool(*value),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => visitor.visit_i64(number),
                    Err(_) => Err(self.invalid(&visitor)),
                }
            }
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) => visitor.visit_f64(number),
                Err(_) => Err(self.invalid(&visitor)),
            },
            DeValue::Datetime(_) => Err(self.invalid(&visitor)),
            DeValue::Array(elements) => {
                let elements = elements.iter().enumerate();
                let elements =
                    elements.map(|(index, value)| self.inner(self.key.index(index), value));
                visitor.visit_seq(SeqDeserializer::new(elements))
            }
            DeValue::Table(entries) => {
                let entries = entries.iter().map(|(name, value)| {
                    let key = self.key.name(name.get_ref());
                    (Name { table: self, name }, self.inner(key, value))
                });
                visitor.visit_map(MapDeserializer::new(entries))
            }
        }
    }

    /// Returns the error of a TOML value without a counterpart in serde.
    fn invalid<'de, V: Visitor<'de>>(&self, visitor: &V) -> Invalid {
        Invalid::invalid_type(Unexpected::Other(self.written()), visitor)
    }
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = Invalid;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        let visited = self.visit(visitor);
        visited.map_err(|error| error.at(&self.key, self.value.span()))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        visitor.visit_some(self)
    }

    /// Reads a list of tables.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        match self.value.get_ref() {
            DeValue::Array(_) => self.deserialize_any(visitor),
            _ => {
                let expected = format!("a list: [[{}]] before each", self.key);
                Err(self.mismatch(expected))
            }
        }
    }

    /// Reads tables by name.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        match self.value.get_ref() {
            DeValue::Table(_) => self.deserialize_any(visitor),
            _ => {
                let expected = format!("a table for each: [{}.NAME]", self.key);
                Err(self.mismatch(expected))
            }
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Invalid> {
        match self.value.get_ref() {
            DeValue::Table(_) => self.deserialize_any(visitor),
            // Derived visitors would also accept a list, by the order of the fields.
            _ => Err(self.mismatch(&visitor as &dyn Expected)),
        }
    }

    /// Reads a string that names a variant.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Invalid> {
        let DeValue::String(word) = self.value.get_ref() else {
            return Err(self.mismatch(&visitor as &dyn Expected));
        };
        let word: StrDeserializer<'_, Invalid> = word.as_ref().into_deserializer();
        let visited = visitor.visit_enum(word);
        visited.map_err(|error| error.at(&self.key, self.value.span()))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct
        tuple tuple_struct identifier ignored_any
    }
}

impl<'a> IntoDeserializer<'_, Invalid> for Node<'a> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// A key in a table: an error about it is marked at the key and not at its value.
struct Name<'a> {
    table: &'a Node<'a>,
    name: &'a Spanned<DeString<'a>>,
}

impl<'de> Deserializer<'de> for Name<'_> {
    type Error = Invalid;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        let visited = visitor.visit_str::<Invalid>(self.name.get_ref());
        visited.map_err(|error| error.at(&self.table.key, self.name.span()))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl IntoDeserializer<'_, Invalid> for Name<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

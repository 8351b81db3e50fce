//! What a value may be is told with the value that is not.

use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Unexpected, Visitor};

/// A string that `parse` accepts.
pub(super) fn text<'de, D, T>(
    deserializer: D,
    expected: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    struct Text<P>(&'static str, P);

    impl<T, P: FnOnce(&str) -> Option<T>> Visitor<'_> for Text<P> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            self.1(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self.0))
        }
    }

    deserializer.deserialize_str(Text(expected, parse))
}

/// An integer that `parse` accepts.
pub(super) fn number<'de, D, T>(
    deserializer: D,
    expected: &'static str,
    parse: impl FnOnce(i64) -> Option<T>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    struct Number<P>(&'static str, P);

    impl<T, P: FnOnce(i64) -> Option<T>> Visitor<'_> for Number<P> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
            self.1(number).ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self.0))
        }
    }

    deserializer.deserialize_i64(Number(expected, parse))
}

/// A number in this range.
pub(super) fn float<'de, D: Deserializer<'de>>(
    deserializer: D,
    expected: &'static str,
    range: RangeInclusive<f64>,
) -> Result<f64, D::Error> {
    struct Float(&'static str, RangeInclusive<f64>);

    impl Visitor<'_> for Float {
        type Value = f64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_f64<E: Error>(self, value: f64) -> Result<f64, E> {
            match self.1.contains(&value) {
                true => Ok(value),
                false => Err(E::invalid_value(Unexpected::Float(value), &self)),
            }
        }

        fn visit_i64<E: Error>(self, value: i64) -> Result<f64, E> {
            self.visit_f64(value as f64)
        }
    }

    deserializer.deserialize_f64(Float(expected, range))
}

/// A list of what `from` makes of each element.
pub(super) fn list<'de, D, I, T>(
    deserializer: D,
    expected: &'static str,
    from: fn(I) -> T,
) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    I: Deserialize<'de>,
{
    struct List<I, T>(&'static str, fn(I) -> T);

    impl<'de, I: Deserialize<'de>, T> Visitor<'de> for List<I, T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(element) = elements.next_element()? {
                list.push((self.1)(element));
            }
            Ok(list)
        }
    }

    deserializer.deserialize_seq(List(expected, from))
}

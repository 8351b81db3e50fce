//! Lists of values.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};

use super::kind::{Kind, read};

/// Reads a list of values of this kind: `#[serde(deserialize_with = "list::<Weight, _>")]`.
///
/// # Errors
///
/// The error says what was found, in the list or instead of it, and what is accepted.
pub(in crate::config) fn list<'de, K: Kind, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<K::Value>, D::Error> {
    deserializer.deserialize_any(List::<K>(PhantomData))
}

/// Reads a list that is `None` if the file has none.
///
/// # Errors
///
/// The same as those of [`list`].
pub(in crate::config) fn some_list<'de, K: Kind, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<K::Value>>, D::Error> {
    list::<K, D>(deserializer).map(Some)
}

struct List<K>(PhantomData<K>);

impl<'de, K: Kind> Visitor<'de> for List<K> {
    type Value = Vec<K::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(K::LIST)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<K::Value>, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(Element::<K>(PhantomData))? {
            list.push(element);
        }
        Ok(list)
    }
}

struct Element<K>(PhantomData<K>);

impl<'de, K: Kind> DeserializeSeed<'de> for Element<K> {
    type Value = K::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<K::Value, D::Error> {
        read::<K, D>(deserializer)
    }
}

//! Where a configuration has tables and lists: looked at before serde reads what is in them, which would take a list for a
//! table and tell of structs and sequences.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What is at the wrong place.
#[derive(Debug)]
pub(super) struct Misshapen {
    /// As in `routes[0].retry`.
    pub(super) key: String,
    pub(super) span: Range<usize>,
    pub(super) message: String,
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    Table,
    List,
    Text,
    HashKey,
}

/// The path to a value, where `*` is each element, its shape, and what to write.
type Rule = (&'static [&'static str], Shape, &'static str);

/// Outer values before inner ones.
const RULES: &[Rule] = &[
    (&["admin"], Shape::Table, "a table: [admin]"),
    (&["clients"], Shape::Table, "a table: [clients]"),
    (&["paths"], Shape::Text, "\"normalized\" or \"as_sent\""),
    (
        &["listeners"],
        Shape::List,
        "a list: [[listeners]] before each",
    ),
    (&["listeners", "*"], Shape::Table, "a table: [[listeners]]"),
    (&["routes"], Shape::List, "a list: [[routes]] before each"),
    (&["routes", "*"], Shape::Table, "a table: [[routes]]"),
    (
        &["routes", "*", "retry"],
        Shape::Table,
        "a table such as { attempts = 3 }",
    ),
    (
        &["routes", "*", "hedge"],
        Shape::Table,
        "a table such as { percentile = 0.99 }",
    ),
    (
        &["routes", "*", "limits"],
        Shape::Table,
        "a table such as { concurrency = 1024 }",
    ),
    (
        &["clusters"],
        Shape::Table,
        "a table for each: [clusters.NAME]",
    ),
    (&["clusters", "*"], Shape::Table, "a table: [clusters.NAME]"),
    (
        &["clusters", "*", "endpoints"],
        Shape::List,
        "a list such as [\"127.0.0.1:3000\"]",
    ),
    (
        &["clusters", "*", "protocol"],
        Shape::Text,
        "\"http1\" or \"http2\"",
    ),
    (
        &["clusters", "*", "balancer"],
        Shape::Text,
        "\"p2c\", \"round_robin\", \"random\", \"ring_hash\" or \"maglev\"",
    ),
    (
        &["clusters", "*", "hash"],
        Shape::HashKey,
        "\"path\", { header = \"x-user\" } or { cookie = \"session\" }",
    ),
    (
        &["clusters", "*", "connections"],
        Shape::Table,
        "a table such as { max = 1024 }",
    ),
    (
        &["clusters", "*", "outliers"],
        Shape::Table,
        "a table such as { consecutive = 5 }",
    ),
];

/// Finds the first value that has not the shape that its place asks for. A text that cannot be parsed is not looked at.
pub(super) fn misshapen(text: &str) -> Option<Misshapen> {
    let root = DeTable::parse(text).ok()?;
    let root = Spanned::new(root.span(), DeValue::Table(root.into_inner()));
    let find = |(path, shape, expected): &Rule| {
        let (key, found) = find(&root, path, *shape, String::new())?;
        let message = format!("found {}; expected {expected}", describe(text, found));
        Some(Misshapen {
            key,
            span: found.span(),
            message,
        })
    };
    RULES.iter().find_map(find)
}

/// The value at `path` below `value` that is not of this shape, and its key.
fn find<'a, 'text>(
    value: &'a Spanned<DeValue<'text>>,
    path: &[&str],
    shape: Shape,
    key: String,
) -> Option<(String, &'a Spanned<DeValue<'text>>)> {
    let Some((step, rest)) = path.split_first() else {
        return (!shape.admits(value.get_ref())).then_some((key, value));
    };
    let below = |name: &str| match key.is_empty() {
        true => name.to_owned(),
        false => format!("{key}.{name}"),
    };
    match (value.get_ref(), *step) {
        (DeValue::Array(elements), "*") => {
            let mut elements = elements.iter().enumerate();
            elements.find_map(|(index, value)| find(value, rest, shape, format!("{key}[{index}]")))
        }
        (DeValue::Table(entries), "*") => {
            let mut entries = entries.iter();
            entries.find_map(|(name, value)| find(value, rest, shape, below(name.get_ref())))
        }
        (DeValue::Table(entries), step) => find(entries.get(step)?, rest, shape, below(step)),
        _ => None,
    }
}

impl Shape {
    fn admits(self, value: &DeValue<'_>) -> bool {
        match (self, value) {
            (Self::Table, DeValue::Table(_))
            | (Self::List, DeValue::Array(_))
            | (Self::Text, DeValue::String(_)) => true,
            (Self::HashKey, DeValue::String(name)) => name == "path",
            (Self::HashKey, DeValue::Table(table)) => {
                let mut entries = table.iter();
                let only = entries.next().filter(|_| table.len() == 1);
                only.is_some_and(|(name, value)| {
                    matches!(name.get_ref().as_ref(), "header" | "cookie")
                        && matches!(value.get_ref(), DeValue::String(_))
                })
            }
            _ => false,
        }
    }
}

/// What is there, in the words of the file.
fn describe(text: &str, value: &Spanned<DeValue<'_>>) -> String {
    match value.get_ref() {
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
        _ => text.get(value.span()).unwrap_or_default().to_owned(),
    }
}

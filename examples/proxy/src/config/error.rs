use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::shape::Misshapen;

/// What is wrong with a configuration, and where.
#[derive(Debug)]
pub struct ConfigError {
    file: String,
    /// From 1. `None` if it is about the whole file.
    line_and_column: Option<(usize, usize)>,
    key: Option<String>,
    message: String,
}

impl ConfigError {
    pub(super) fn unreadable(file: &str, error: &io::Error) -> Self {
        Self {
            file: file.to_owned(),
            line_and_column: None,
            key: None,
            message: format!("cannot be read: {error}"),
        }
    }

    pub(super) fn syntax(file: &str, text: &str, error: &toml::de::Error) -> Self {
        Self::at_path(file, text, ".", error)
    }

    pub(super) fn misshapen(file: &str, text: &str, misshapen: Misshapen) -> Self {
        Self {
            file: file.to_owned(),
            line_and_column: Some(position(text, misshapen.span.start)),
            key: Some(misshapen.key),
            message: misshapen.message,
        }
    }

    pub(super) fn at_path(file: &str, text: &str, path: &str, error: &toml::de::Error) -> Self {
        Self {
            file: file.to_owned(),
            line_and_column: error.span().map(|span| position(text, span.start)),
            key: (path != ".").then(|| path.to_owned()),
            message: in_our_words(
                error.message(),
                error.span().and_then(|span| text.get(span)),
            ),
        }
    }

    /// `key` as in `routes[0].cluster`; its place in the text is looked up.
    pub(super) fn at_key(file: &str, text: &str, key: &str, message: String) -> Self {
        Self {
            file: file.to_owned(),
            line_and_column: find(text, key).map(|span| position(text, span.start)),
            key: Some(key.to_owned()),
            message,
        }
    }
}

impl ConfigError {
    /// What is wrong is in no file.
    pub(super) fn without_place(source: &str, key: String, message: String) -> Self {
        Self {
            file: source.to_owned(),
            line_and_column: None,
            key: Some(key),
            message,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some((line, column)) = self.line_and_column {
            write!(f, ":{line}:{column}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {key}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl Error for ConfigError {}

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

/// The words of serde and of the parser in those of the file; `found` is what is written where the error is.
fn in_our_words(message: &str, found: Option<&str>) -> String {
    let message = message.trim();
    if message == "duplicate key" {
        return match found {
            Some(key) => format!("duplicate key `{key}`"),
            None => message.to_owned(),
        };
    }
    if let Some(rest) = message.strip_prefix("duplicate field ") {
        return format!("duplicate key {rest}");
    }
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let (found, accepted) = rest.split_once(", expected ").unwrap_or((rest, "nothing"));
        return format!("unknown key {found}; expected {accepted}");
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        return format!("the key {rest} is missing");
    }
    if message == "wanted string or table" {
        return format!("found {}; expected a string", found.unwrap_or("no string"));
    }
    let rest = ["invalid type: ", "invalid value: ", "unknown variant "]
        .iter()
        .find_map(|p| message.strip_prefix(p));
    match rest.and_then(|rest| rest.split_once(", expected ")) {
        Some((said, expected)) => {
            format!(
                "found {}; expected {}",
                what_is_found(said, found),
                what_is_expected(expected)
            )
        }
        None => message.to_owned(),
    }
}

fn what_is_found(said: &str, found: Option<&str>) -> String {
    // A date is a map to serde.
    let found = found.filter(|found| !found.starts_with(['{', '[']));
    match (said, found) {
        ("map", Some(found)) => found.to_owned(),
        ("map", None) => "a table".to_owned(),
        ("sequence", _) => "a list".to_owned(),
        _ => {
            let said = said.strip_prefix("string ").unwrap_or(said);
            said.replace("floating point ", "number ")
                .replace(" as i128", "")
        }
    }
}

fn what_is_expected(expected: &str) -> &str {
    match expected {
        "a map" => "a table",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        _ if expected.starts_with("struct ") => "a table",
        _ => expected,
    }
}

/// Where the value of a key is, or else the nearest that holds it.
fn find(text: &str, key: &str) -> Option<Range<usize>> {
    let table = DeTable::parse(text).ok()?;
    let mut span = table.span();
    let mut value: Option<&DeValue<'_>> = None;
    for step in key.split(['.', '[']) {
        let next = match (step.strip_suffix(']'), value) {
            (Some(index), Some(DeValue::Array(array))) => array.get(index.parse::<usize>().ok()?),
            (None, Some(DeValue::Table(table))) => table.get(step),
            (None, None) => table.get_ref().get(step),
            _ => None,
        };
        let Some(next) = next else { break };
        span = next.span();
        value = Some(next.get_ref());
    }
    Some(span)
}

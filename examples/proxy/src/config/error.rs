use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

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

    pub(super) fn at_path(file: &str, text: &str, path: &str, error: &toml::de::Error) -> Self {
        Self {
            file: file.to_owned(),
            line_and_column: error.span().map(|span| position(text, span.start)),
            key: (path != ".").then(|| path.to_owned()),
            message: found_and_expected(error.message()),
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

/// serde's words in ours.
fn found_and_expected(message: &str) -> String {
    let message = message.trim();
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let (found, accepted) = rest.split_once(", expected ").unwrap_or((rest, "nothing"));
        return format!("unknown key {found}; expected {accepted}");
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        return format!("the key {rest} is missing");
    }
    let rest = ["invalid type: ", "invalid value: ", "unknown variant "]
        .iter()
        .find_map(|p| message.strip_prefix(p));
    match rest.and_then(|rest| rest.split_once(", expected ")) {
        Some((found, expected)) => {
            format!(
                "found {}; expected {expected}",
                found.strip_prefix("string ").unwrap_or(found)
            )
        }
        None => message.to_owned(),
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

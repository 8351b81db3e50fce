use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::shape::Misshapen;

/// What is wrong with a configuration, and where.
///
/// It is shown in one line; [`excerpt`](Self::excerpt) shows the place.
#[derive(Debug)]
pub struct ConfigError {
    file: String,
    /// `None` if it is about the whole file.
    place: Option<Place>,
    key: Option<String>,
    message: String,
}

impl ConfigError {
    pub(super) fn unreadable(file: &str, error: &io::Error) -> Self {
        Self {
            file: file.to_owned(),
            place: None,
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
            place: Some(Place::of(text, &misshapen.span)),
            key: Some(misshapen.key),
            message: misshapen.message,
        }
    }

    pub(super) fn at_path(file: &str, text: &str, path: &str, error: &toml::de::Error) -> Self {
        Self {
            file: file.to_owned(),
            place: error.span().map(|span| Place::of(text, &span)),
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
            place: find(text, key).map(|span| Place::of(text, &span)),
            key: Some(key.to_owned()),
            message,
        }
    }

    /// What is wrong is in no file.
    pub(super) fn without_place(source: &str, key: String, message: String) -> Self {
        Self {
            file: source.to_owned(),
            place: None,
            key: Some(key),
            message,
        }
    }

    /// The line of the file in which it is, and carets below what is wrong.
    pub fn excerpt(&self) -> Option<Excerpt<'_>> {
        self.place.as_ref().map(Excerpt)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(place) = &self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {key}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl Error for ConfigError {}

/// Where something is in a text.
#[derive(Debug)]
struct Place {
    /// From 1.
    line: usize,
    /// From 1, in characters.
    column: usize,
    /// How many characters of the line it takes, one at least.
    width: usize,
    text: String,
}

impl Place {
    fn of(text: &str, span: &Range<usize>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = text[line_start..].lines().next().unwrap_or_default();
        let indent = &before[line_start..];
        let rest = line.get(indent.len()..).unwrap_or_default();
        let there = rest.get(..span.len()).unwrap_or(rest);
        Self {
            line: before.matches('\n').count() + 1,
            column: indent.chars().count() + 1,
            width: there.trim_end().chars().count().max(1),
            // A tab would be wider here than in the line with the carets.
            text: line.replace('\t', " "),
        }
    }
}

/// The place of a [`ConfigError`], in three lines.
#[derive(Debug, Clone, Copy)]
pub struct Excerpt<'a>(&'a Place);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place {
            line,
            column,
            width,
            text,
        } = self.0;
        let margin = line.to_string().len();
        writeln!(f, "{:margin$} |", "")?;
        writeln!(f, "{line} | {text}")?;
        write!(
            f,
            "{:margin$} | {:>column$}{}",
            "",
            "^",
            "^".repeat(width - 1)
        )
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(text: &str, span: Range<usize>) -> String {
        Excerpt(&Place::of(text, &span)).to_string()
    }

    #[test]
    fn carets_are_below_what_is_wrong() {
        let text = "a = 1\n\tkey = \"wr\u{f6}ng\"  # why\nlist = [\n  1,\n]\n";
        let at = |what: &str| {
            let start = text.find(what).unwrap();
            start..start + what.len()
        };
        assert_eq!(excerpt(text, at("a")), "  |\n1 | a = 1\n  | ^");
        assert_eq!(
            excerpt(text, at("\"wr\u{f6}ng\"")),
            "  |\n2 |  key = \"wr\u{f6}ng\"  # why\n  |        ^^^^^^^"
        );
        // What goes on in the next line is marked to the end of the first.
        assert_eq!(
            excerpt(text, at("[\n  1,\n]")),
            "  |\n3 | list = [\n  |        ^"
        );
        // The end of the text, and nothing at all, have a place as well.
        let end = text.len()..text.len();
        assert_eq!(excerpt(text, end), "  |\n6 | \n  | ^");
        assert_eq!(excerpt("", 0..0), "  |\n1 | \n  | ^");
        let far = format!("{}x = y", "\n".repeat(99));
        assert_eq!(excerpt(&far, 103..104), "    |\n100 | x = y\n    |     ^");
    }
}

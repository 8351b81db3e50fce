//! The line of a file with an error, and carets below the invalid part.

use std::fmt;
use std::ops::Range;

/// A position in the file.
#[derive(Debug)]
pub(super) struct Position {
    /// From 1.
    pub(super) line: usize,
    /// From 1, in characters.
    pub(super) column: usize,
    /// In characters, at least one.
    width: usize,
    text: String,
}

impl Position {
    pub(super) fn of(text: &str, span: &Range<usize>) -> Self {
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

/// The position of a [`ConfigError`](super::ConfigError), in three lines.
#[derive(Debug, Clone, Copy)]
pub struct Excerpt<'a>(pub(super) &'a Position);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(text: &str, span: Range<usize>) -> String {
        Excerpt(&Position::of(text, &span)).to_string()
    }

    #[test]
    fn carets_are_below_the_invalid_part() {
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
        // A value of several lines is marked to the end of the first.
        assert_eq!(
            excerpt(text, at("[\n  1,\n]")),
            "  |\n3 | list = [\n  |        ^"
        );
        // The end of the text, and nothing at all, have a position as well.
        let end = text.len()..text.len();
        assert_eq!(excerpt(text, end), "  |\n6 | \n  | ^");
        assert_eq!(excerpt("", 0..0), "  |\n1 | \n  | ^");
        let far = format!("{}x = y", "\n".repeat(99));
        assert_eq!(excerpt(&far, 103..104), "    |\n100 | x = y\n    |     ^");
    }
}

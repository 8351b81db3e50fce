use std::error::Error;
use std::fmt;
use std::io;

use toml::Spanned;
use toml::de::DeValue;

use super::excerpt::{Excerpt, Position};
use super::invalid::Invalid;

/// An invalid configuration: what is wrong, and where.
///
/// `Display` writes one line; [`excerpt`](Self::excerpt) shows the position.
#[derive(Debug)]
pub struct ConfigError {
    file: String,
    /// `None` if the error concerns the whole file.
    position: Option<Position>,
    /// Empty if the error concerns the whole file.
    key: String,
    message: String,
}

impl ConfigError {
    pub(super) fn unreadable(file: &str, error: &io::Error) -> Self {
        Self {
            file: file.to_owned(),
            position: None,
            key: String::new(),
            message: format!("cannot be read: {error}"),
        }
    }

    /// Creates the error of a `text` that is not valid TOML.
    pub(super) fn syntax(file: &str, text: &str, error: &toml::de::Error) -> Self {
        let span = error.span();
        let marked = span.clone().and_then(|span| text.get(span));
        // A duplicate key, for example.
        let word = marked.filter(|marked| !marked.is_empty() && marked.chars().all(is_of_key));
        let message = error.message().trim();
        Self {
            file: file.to_owned(),
            position: span.map(|span| Position::of(text, &span)),
            key: String::new(),
            message: match word {
                Some(word) => format!("{message} `{word}`"),
                None => message.to_owned(),
            },
        }
    }

    /// Creates the error of an invalid value or key; `text` is the TOML of `root`.
    pub(super) fn of(
        file: &str,
        text: &str,
        root: &Spanned<DeValue<'_>>,
        invalid: Invalid,
    ) -> Self {
        let Invalid { message, key, span } = invalid;
        let key = key.unwrap_or_default();
        let span = span.unwrap_or_else(|| key.span(root));
        Self {
            file: file.to_owned(),
            position: Some(Position::of(text, &span)),
            key: key.to_string(),
            message,
        }
    }

    /// Creates the error of a value that does not come from a file but from `source`.
    pub(super) fn without_position(source: &str, invalid: Invalid) -> Self {
        Self {
            file: source.to_owned(),
            position: None,
            key: invalid.key.unwrap_or_default().to_string(),
            message: invalid.message,
        }
    }

    /// Returns the line with the error, and carets below the invalid part.
    pub fn excerpt(&self) -> Option<Excerpt<'_>> {
        self.position.as_ref().map(Excerpt)
    }
}

/// Returns whether a bare key may contain this character.
const fn is_of_key(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(position) = &self.position {
            write!(f, ":{}:{}", position.line, position.column)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl Error for ConfigError {}

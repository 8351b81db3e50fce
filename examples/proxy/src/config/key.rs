//! The full key of a value.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

/// The full key of a value, such as `routes[0].retry.max_attempts`. Empty for the file itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Key(Vec<Step>);

#[derive(Debug, Clone)]
enum Step {
    Name(String),
    Index(usize),
}

impl Key {
    /// Returns the key `name` in the table that has this key.
    pub(super) fn name(&self, name: &str) -> Self {
        self.then(Step::Name(name.to_owned()))
    }

    /// Returns the key of an element of the list that has this key.
    pub(super) fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    /// Returns the position of the value below `root`, or of the innermost table or list around it if the file does not
    /// have it.
    pub(super) fn span(&self, root: &Spanned<DeValue<'_>>) -> Range<usize> {
        let mut value = root;
        for step in &self.0 {
            let next = match (step, value.get_ref()) {
                (Step::Name(name), DeValue::Table(entries)) => entries.get(name.as_str()),
                (Step::Index(index), DeValue::Array(elements)) => elements.get(*index),
                _ => None,
            };
            let Some(next) = next else { break };
            value = next;
        }
        value.span()
    }

    fn then(&self, step: Step) -> Self {
        let steps = self.0.iter().cloned();
        Self(steps.chain([step]).collect())
    }
}

/// A key at the top of the file.
impl From<&str> for Key {
    fn from(name: &str) -> Self {
        Self::default().name(name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.0.iter().enumerate() {
            match step {
                Step::Name(name) if depth == 0 => write!(f, "{name}")?,
                Step::Name(name) => write!(f, ".{name}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

use super::kind::Kind;

/// `true` or `false`.
pub(in crate::config) enum Switch {}

impl Kind for Switch {
    type Value = bool;
    const EXPECTED: &'static str = "true or false";

    fn boolean(value: bool) -> Option<bool> {
        Some(value)
    }
}

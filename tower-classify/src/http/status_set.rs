use std::fmt;

use http::StatusCode;

/// A set of HTTP statuses, one bit each. There are no statuses above 999.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct StatusSet([u64; WORDS]);

impl StatusSet {
    pub(super) const fn empty() -> Self {
        Self([0; WORDS])
    }

    #[inline]
    pub(super) const fn contains(&self, status: StatusCode) -> bool {
        let (word, bit) = position(status);
        self.0[word] & bit != 0
    }
}

impl Extend<StatusCode> for StatusSet {
    fn extend<I: IntoIterator<Item = StatusCode>>(&mut self, statuses: I) {
        for status in statuses {
            let (word, bit) = position(status);
            self.0[word] |= bit;
        }
    }
}

impl FromIterator<StatusCode> for StatusSet {
    fn from_iter<I: IntoIterator<Item = StatusCode>>(statuses: I) -> Self {
        let mut set = Self::empty();
        set.extend(statuses);
        set
    }
}

impl fmt::Debug for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statuses = (100..1000).filter_map(|number| StatusCode::from_u16(number).ok());
        let members = statuses.filter(|status| self.contains(*status));
        f.debug_set()
            .entries(members.map(|status| status.as_u16()))
            .finish()
    }
}

/// Returns the word and the bit of a status. `StatusCode` guarantees 100 to 999.
const fn position(status: StatusCode) -> (usize, u64) {
    let index = status.as_u16() as usize - 100;
    (index / 64, 1 << (index % 64))
}

const WORDS: usize = 900usize.div_ceil(64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_contains_its_elements_and_no_others() {
        let all = || (100..1000).map(|number| StatusCode::from_u16(number).unwrap());
        let set: StatusSet = all().filter(|status| status.is_server_error()).collect();
        for status in all() {
            assert_eq!(set.contains(status), status.is_server_error(), "{status}");
        }
    }
}

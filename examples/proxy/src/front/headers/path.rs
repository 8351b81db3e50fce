//! Normalizes paths (RFC 3986, 6.2.2), so that no spelling of a path bypasses its route, and the upstream gets the path
//! that was matched.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use http::uri::{PathAndQuery, Uri};

/// A path with a `%` that is not followed by two hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPath;

/// Returns the normal form of an absolute path without its query; borrowed if the path is normal already.
///
/// Percent-encoded letters, digits, `-`, `.`, `_` and `~` are decoded; other percent-encodings stay and get uppercase
/// digits; `.` and `..` segments are resolved; consecutive slashes become one. What only some servers take for a
/// separator stays as it is: `%2F`, `%5C`, `\` and `;`.
///
/// # Errors
///
/// If a percent-encoding is incomplete: decoding the characters around it could complete it.
pub fn normalize(path: &str) -> Result<Cow<'_, str>, BadPath> {
    let bytes = path.as_bytes();
    let starts_segment = |at: usize| bytes.get(at.wrapping_sub(1)) == Some(&b'/');
    let is_normal = |(at, byte): (usize, &u8)| match byte {
        b'%' => false,
        b'/' | b'.' => !starts_segment(at),
        _ => true,
    };
    if bytes.iter().enumerate().all(is_normal) {
        return Ok(Cow::Borrowed(path));
    }
    let normal = resolve(&decode(path)?);
    Ok(match normal == path {
        true => Cow::Borrowed(path),
        false => Cow::Owned(normal),
    })
}

/// Replaces the path of a target and keeps its query.
///
/// # Errors
///
/// If the result is not a valid target.
pub fn replace(target: &mut Uri, mut path: String) -> Result<(), BadPath> {
    if let Some(query) = target.query() {
        path.push('?');
        path.push_str(query);
    }
    let mut parts = target.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).map_err(|_| BadPath)?);
    *target = Uri::from_parts(parts).map_err(|_| BadPath)?;
    Ok(())
}

/// Decodes the unnecessary percent-encodings, and writes the others in uppercase.
fn decode(path: &str) -> Result<String, BadPath> {
    let mut pieces = path.split('%');
    let mut decoded = String::with_capacity(path.len());
    decoded.extend(pieces.next());
    for piece in pieces {
        let digits = piece
            .get(..2)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .ok_or(BadPath)?;
        let byte = u8::from_str_radix(digits, 16).map_err(|_| BadPath)?;
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            decoded.push(char::from(byte));
        } else {
            decoded.push('%');
            decoded.extend(digits.chars().map(|digit| digit.to_ascii_uppercase()));
        }
        decoded.push_str(&piece[2..]);
    }
    Ok(decoded)
}

/// Resolves `.` and `..` segments (RFC 3986, 5.2.4), not above the root, and removes empty ones.
fn resolve(path: &str) -> String {
    let mut normal = String::with_capacity(path.len());
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => normal.truncate(normal.rfind('/').unwrap_or(0)),
            segment => {
                normal.push('/');
                normal.push_str(segment);
            }
        }
    }
    let is_directory = matches!(path.rsplit('/').next(), Some("" | "." | ".."));
    if is_directory || normal.is_empty() {
        normal.push('/');
    }
    normal
}

impl fmt::Display for BadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the path has an incomplete percent-encoding")
    }
}

impl Error for BadPath {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_path_has_one_normal_form() {
        for (path, normal) in [
            ("/", "/"),
            ("//", "/"),
            ("/a//b/", "/a/b/"),
            ("/a/./b/../c", "/a/c"),
            ("/a/..", "/"),
            ("/../..", "/"),
            ("/a/b/.", "/a/b/"),
            ("/%61%2f%7e%zz", ""),
            ("/%61%2f%7e%C3", "/a%2F~%C3"),
            ("/%2e%2e/%2E/a", "/a"),
            ("/..a/b../...", "/..a/b../..."),
            ("/a%", ""),
            ("/a%2", ""),
            ("/a%\u{e9}", ""),
        ] {
            let expected = (!normal.is_empty()).then_some(normal).ok_or(BadPath);
            assert_eq!(normalize(path).as_deref(), expected.as_deref(), "{path}");
        }
    }

    #[test]
    fn a_normal_path_is_borrowed() {
        for path in ["/", "/a/b", "/a/", "/a.b/c", "/.well-known/x", "/a;b"] {
            assert!(matches!(normalize(path), Ok(Cow::Borrowed(_))), "{path}");
        }
    }

    proptest! {
        #[test]
        fn the_normal_form_is_a_fixed_point(path in "(/|\\.|%2[eEfF]|%61|%25|a|%)*") {
            if let Ok(normal) = normalize(&format!("/{path}")) {
                prop_assert!(normal.starts_with('/') && !normal.contains("//"), "{}", normal);
                prop_assert!(normal.split('/').all(|segment| segment != "." && segment != ".."), "{}", normal);
                prop_assert_eq!(normalize(&normal), Ok(Cow::Borrowed(&*normal)));
            }
        }
    }
}

//! The framing of messages: validates the fields that define it, and sets those that are sent.
//!
//! hyper parses the framing of what is received. What it accepts and this proxy must not is rejected here. What is sent
//! is framed by its body, whatever the received fields said.

use std::error::Error;
use std::fmt;

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, TRAILER, TRANSFER_ENCODING};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;

use crate::config::Protocol;

/// What is wrong with the framing of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadFraming {
    /// A `Transfer-Encoding` with a coding other than `chunked`: without its name, the content would mean something
    /// else.
    UnknownCoding,
    /// `chunked` more than once.
    ChunkedTwice,
    /// A `Content-Length` that is not a number, or several that differ.
    Length,
    /// A 101 response to a request that did not ask to switch protocols.
    SwitchingProtocols,
}

/// Checks a client's request, of which hyper has already parsed the framing.
///
/// # Errors
///
/// If it has a transfer coding that the proxy would have to decode and does not know (RFC 9112, 6.1).
pub fn check_request(headers: &HeaderMap) -> Result<(), BadFraming> {
    check_codings(headers)
}

/// Checks an upstream's response, and leaves at most one `Content-Length`, which is correct.
///
/// # Errors
///
/// If its framing is invalid or ambiguous, or if it is a 101.
pub fn check_response<B>(response: &mut Response<B>) -> Result<(), BadFraming> {
    let status = response.status();
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(BadFraming::SwitchingProtocols);
    }
    let headers = response.headers_mut();
    if headers.contains_key(&TRANSFER_ENCODING) {
        check_codings(headers)?;
        // RFC 9112, 6.3: the coding overrides the length.
        headers.remove(TRANSFER_ENCODING);
        headers.remove(CONTENT_LENGTH);
    } else if status == StatusCode::NO_CONTENT {
        // RFC 9110, 8.6.
        headers.remove(CONTENT_LENGTH);
    } else {
        one_length(headers)?;
    }
    Ok(())
}

/// Returns whether an upstream's connection may be reused after this response.
///
/// Not after an HTTP/1.0 response: hyper would then send HTTP/1.0 requests, which cannot have a body of unknown length.
/// And not if the response had both a length and a coding: the upstream may have meant the other one.
pub fn is_reusable<B>(response: &Response<B>) -> bool {
    let headers = response.headers();
    response.version() == Version::HTTP_11
        && !(headers.contains_key(&TRANSFER_ENCODING) && headers.contains_key(&CONTENT_LENGTH))
}

/// Sets the framing fields of a request by its body.
pub fn frame<B: Body>(request: &mut Request<B>, protocol: Protocol) {
    let (empty, exact) = (
        request.body().is_end_stream(),
        request.body().size_hint().exact(),
    );
    let expects_content = matches!(
        *request.method(),
        Method::POST | Method::PUT | Method::PATCH
    );
    let headers = request.headers_mut();
    match exact {
        // RFC 9110, 8.6: a method for which content is expected states that there is none.
        _ if empty && (expects_content || headers.contains_key(&CONTENT_LENGTH)) => {
            set_length(headers, 0);
        }
        _ if empty => {}
        Some(length) => set_length(headers, length),
        None => {
            headers.remove(CONTENT_LENGTH);
            if protocol == Protocol::Http1 {
                // Set explicitly, since hyper assumes that a GET of unknown length has no body.
                headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
                return;
            }
        }
    }
    if protocol == Protocol::Http1 && !empty {
        // Only chunked messages have trailers.
        headers.remove(TRAILER);
    }
}

/// Accepts no transfer coding, or `chunked` once.
fn check_codings(headers: &HeaderMap) -> Result<(), BadFraming> {
    if !headers.contains_key(&TRANSFER_ENCODING) {
        return Ok(());
    }
    let mut chunked = 0;
    for value in headers.get_all(TRANSFER_ENCODING) {
        for coding in value.as_bytes().split(|byte| *byte == b',') {
            match coding.trim_ascii() {
                b"" => {}
                coding if coding.eq_ignore_ascii_case(b"chunked") => chunked += 1,
                _ => return Err(BadFraming::UnknownCoding),
            }
        }
    }
    match chunked {
        0 => Err(BadFraming::UnknownCoding),
        1 => Ok(()),
        _ => Err(BadFraming::ChunkedTwice),
    }
}

/// Reduces the fields to one length, if there is any.
fn one_length(headers: &mut HeaderMap) -> Result<(), BadFraming> {
    let mut values = headers.get_all(&CONTENT_LENGTH).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if is_canonical(only) => Ok(()),
        _ => {
            if let Some(length) = length(headers)? {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            Ok(())
        }
    }
}

/// Returns the one length on which all fields and lists agree.
fn length(headers: &HeaderMap) -> Result<Option<u64>, BadFraming> {
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for number in value.as_bytes().split(|byte| *byte == b',') {
            let number = number_of(number.trim_ascii()).ok_or(BadFraming::Length)?;
            if length.is_some_and(|length| length != number) {
                return Err(BadFraming::Length);
            }
            length = Some(number);
        }
    }
    Ok(length)
}

/// Parses digits only, unlike [`str::parse`], which accepts a sign.
fn number_of(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let digits = str::from_utf8(digits).ok().filter(|_| is_number)?;
    digits.parse().ok()
}

/// Returns whether it is a number without leading zeros, and short enough to fit in 64 bits in any case.
fn is_canonical(length: &HeaderValue) -> bool {
    let digits = length.as_bytes();
    let is_number = (1..20).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    is_number && (digits == b"0" || !digits.starts_with(b"0"))
}

/// Does nothing if the field has this value already.
fn set_length(headers: &mut HeaderMap, length: u64) {
    let mut values = headers.get_all(&CONTENT_LENGTH).iter();
    if let (Some(only), None) = (values.next(), values.next())
        && number_of(only.as_bytes()) == Some(length)
        && is_canonical(only)
    {
        return;
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
}

impl fmt::Display for BadFraming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownCoding => "a transfer coding other than chunked",
            Self::ChunkedTwice => "the transfer coding chunked more than once",
            Self::Length => "a bad content-length",
            Self::SwitchingProtocols => "a 101 that was not asked for",
        })
    }
}

impl Error for BadFraming {}

#[cfg(test)]
mod tests {
    use http_body_util::{Empty, Full};

    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn lengths_must_agree() {
        let length = |values: &[&'static str]| {
            let fields: Vec<_> = values
                .iter()
                .map(|value| ("content-length", *value))
                .collect();
            length(&headers(&fields))
        };
        assert_eq!(length(&[]), Ok(None));
        assert_eq!(length(&["2, 2", "02"]), Ok(Some(2)));
        assert_eq!(length(&["18446744073709551615"]), Ok(Some(u64::MAX)));
        for bad in [
            "",
            "+2",
            "-2",
            "2 2",
            "2,",
            "2,3",
            "0x2",
            "18446744073709551616",
        ] {
            assert_eq!(length(&[bad]), Err(BadFraming::Length), "{bad:?}");
        }
    }

    #[test]
    fn only_chunked_is_a_coding_and_only_once() {
        let codings = |values: &[&'static str]| {
            let fields: Vec<_> = values
                .iter()
                .map(|value| ("transfer-encoding", *value))
                .collect();
            check_codings(&headers(&fields))
        };
        assert_eq!(codings(&[]), Ok(()));
        assert_eq!(codings(&["Chunked "]), Ok(()));
        assert_eq!(codings(&[", chunked,"]), Ok(()));
        assert_eq!(
            codings(&["chunked", "CHUNKED"]),
            Err(BadFraming::ChunkedTwice)
        );
        for bad in [
            "",
            "gzip",
            "gzip, chunked",
            "xchunked",
            "chunked;a=b",
            "identity",
        ] {
            assert_eq!(codings(&[bad]), Err(BadFraming::UnknownCoding), "{bad:?}");
        }
    }

    #[test]
    fn a_body_decides_the_framing_whatever_the_fields_say() {
        let mut request = Request::new(Full::new(bytes::Bytes::from_static(b"hello")));
        *request.headers_mut() = headers(&[("content-length", "4"), ("content-length", "9")]);
        frame(&mut request, Protocol::Http1);
        let lengths: Vec<_> = request.headers().get_all(CONTENT_LENGTH).iter().collect();
        assert_eq!(lengths, ["5"]);

        let mut request = Request::new(Empty::<bytes::Bytes>::new());
        frame(&mut request, Protocol::Http1);
        assert!(request.headers().is_empty());
        *request.method_mut() = Method::PUT;
        frame(&mut request, Protocol::Http1);
        assert_eq!(request.headers()[CONTENT_LENGTH], "0");
    }
}

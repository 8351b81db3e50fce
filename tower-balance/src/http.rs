//! Hash keys of HTTP requests, for pickers that use consistent hashing.
//!
//! # Example
//!
//! ```
//! use http::Request;
//! use tower_balance::http::cookie;
//!
//! let key = cookie("session");
//! let request = |cookies| Request::get("/").header("cookie", cookies).body(()).unwrap();
//! assert_eq!(key(&request("a=1; session=x")), key(&request("session=x")));
//! assert_ne!(key(&request("session=y")), key(&request("session=x")));
//! assert_eq!(key(&request("a=1")), None); // no key: any endpoint may be picked
//! ```

use http::header::COOKIE;
use http::{HeaderName, HeaderValue, Request};

use crate::policy::hash::xxh64;

/// Returns a closure that hashes the value of a header, or returns `None` if the request does not have it. If there are
/// several values, it hashes the first.
pub fn header<B>(name: HeaderName) -> impl Fn(&Request<B>) -> Option<u64> + Clone {
    move |request| Some(xxh64(request.headers().get(&name)?.as_bytes(), SEED))
}

/// Returns a closure that hashes the value of a cookie, or returns `None` if the request does not have it. If there are
/// several values, it hashes the first.
pub fn cookie<B>(name: impl Into<String>) -> impl Fn(&Request<B>) -> Option<u64> + Clone {
    let name = name.into();
    move |request| {
        let headers = request.headers().get_all(COOKIE).iter();
        let cookies = headers
            .map(HeaderValue::as_bytes)
            .flat_map(|value| value.split(|&byte| byte == b';'));
        let mut values = cookies.filter_map(|cookie| {
            let value = cookie.trim_ascii().strip_prefix(name.as_bytes())?;
            value.strip_prefix(b"=")
        });
        Some(xxh64(values.next()?, SEED))
    }
}

/// Returns a closure that hashes the path, without the query.
pub fn path<B>() -> impl Fn(&Request<B>) -> Option<u64> + Clone {
    |request| Some(xxh64(request.uri().path().as_bytes(), SEED))
}

/// The seed that Envoy and gRPC use.
const SEED: u64 = 0;

//! Which route takes a request.

use http::uri::Authority;
use http::{Request, header};

use crate::config::Route;

/// Finds the route of a request: the most specific host first, then the longest path prefix.
///
/// Looks at the routes one after the other: it is made for tens of routes, not for thousands.
#[derive(Debug, Clone)]
pub struct Router<T> {
    entries: Vec<(Route, T)>,
}

impl<T> Router<T> {
    /// Routes, each with what handles its requests.
    pub fn new(mut entries: Vec<(Route, T)>) -> Self {
        entries.sort_by_key(|(route, _)| std::cmp::Reverse((host_rank(route), route.path.len())));
        Self { entries }
    }

    /// What handles requests for this host and path, if anything does.
    pub fn find(&self, host: Option<&str>, path: &str) -> Option<&T> {
        let takes = |route: &Route| matches_host(route, host) && matches_path(&route.path, path);
        self.entries
            .iter()
            .find(|(route, _)| takes(route))
            .map(|(_, handler)| handler)
    }
}

/// The host that a request is for, without the port: from `:authority` or the absolute URI, else from `Host`.
pub fn host_of<B>(request: &Request<B>) -> Option<&str> {
    let authority = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => request.headers().get(header::HOST)?.to_str().ok()?,
    };
    // An authority is checked already; a header may hold anything.
    Some(without_port(authority))
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// Exact hosts come before wildcards, longer wildcards before shorter ones, routes for any host last.
fn host_rank(route: &Route) -> (u8, usize) {
    match route.host.as_deref() {
        Some(host) if host.starts_with("*.") => (1, host.len()),
        Some(host) => (2, host.len()),
        None => (0, 0),
    }
}

fn matches_host(route: &Route, host: Option<&str>) -> bool {
    let Some(pattern) = route.host.as_deref() else {
        return true;
    };
    let Some(host) = host else { return false };
    match pattern.strip_prefix('*') {
        // "*.example.com" takes any host below example.com, at whatever depth, but not example.com.
        Some(suffix) => {
            host.len() > suffix.len()
                && host[..]
                    .to_ascii_lowercase()
                    .ends_with(&suffix.to_ascii_lowercase())
        }
        None => host.eq_ignore_ascii_case(pattern),
    }
}

/// Whether `path` is `prefix` or lies below it, by whole segments: "/v1" takes "/v1" and "/v1/x", not "/v10".
fn matches_path(prefix: &str, path: &str) -> bool {
    let Some(rest) = path.strip_prefix(prefix) else {
        return false;
    };
    rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/')
}

/// The authority of a request, from its URI or its `Host` header; `None` if there is none or it is not well-formed.
pub fn authority_of<B>(request: &Request<B>) -> Option<Authority> {
    match request.uri().authority() {
        Some(authority) => Some(authority.clone()),
        None => Authority::try_from(request.headers().get(header::HOST)?.as_bytes()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(host: Option<&str>, path: &str) -> (Route, String) {
        let name = format!("{}{path}", host.unwrap_or("any"));
        (
            Route {
                host: host.map(str::to_owned),
                path: path.to_owned(),
                ..Route::to("c")
            },
            name,
        )
    }

    #[test]
    fn the_most_specific_host_wins_before_the_longest_path() {
        let router = Router::new(vec![
            route(None, "/"),
            route(None, "/v1/long/prefix"),
            route(Some("*.example.com"), "/"),
            route(Some("*.eu.example.com"), "/"),
            route(Some("api.example.com"), "/"),
            route(Some("api.example.com"), "/v1"),
        ]);
        let found = |host, path| router.find(host, path).map(String::as_str);
        assert_eq!(
            found(Some("API.example.com"), "/v1/x"),
            Some("api.example.com/v1")
        );
        assert_eq!(
            found(Some("api.example.com"), "/v10"),
            Some("api.example.com/")
        );
        assert_eq!(
            found(Some("a.b.EU.example.com"), "/v1/long/prefix"),
            Some("*.eu.example.com/")
        );
        assert_eq!(found(Some("www.example.com"), "/"), Some("*.example.com/"));
        assert_eq!(
            found(Some("example.com"), "/v1/long/prefix/x"),
            Some("any/v1/long/prefix")
        );
        assert_eq!(found(None, "/"), Some("any/"));
    }

    #[test]
    fn without_a_matching_route_there_is_none() {
        let router = Router::new(vec![route(Some("a.example"), "/"), route(None, "/v1/")]);
        assert_eq!(router.find(Some("b.example"), "/v2"), None);
        assert_eq!(router.find(Some("b.example"), "/v1"), None);
        assert!(router.find(Some("b.example"), "/v1/x").is_some());
    }

    #[test]
    fn the_host_is_read_from_the_uri_or_the_header_without_its_port() {
        let request = |uri: &str, host: Option<&str>| {
            let mut request = Request::builder().uri(uri);
            if let Some(host) = host {
                request = request.header(header::HOST, host);
            }
            request.body(()).unwrap()
        };
        assert_eq!(
            host_of(&request("http://a.example:80/", Some("b.example"))),
            Some("a.example")
        );
        assert_eq!(
            host_of(&request("/", Some("b.example:8080"))),
            Some("b.example")
        );
        assert_eq!(host_of(&request("/", Some("[::1]:8080"))), Some("[::1]"));
        assert_eq!(host_of(&request("/", Some("[::1]"))), Some("[::1]"));
        assert_eq!(host_of(&request("/", None)), None);
    }
}

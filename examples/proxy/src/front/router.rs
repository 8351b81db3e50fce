//! Matches requests to routes.

use crate::config::Route;

/// Finds the route of a request: the most specific host first, then the longest path prefix.
///
/// It scans the routes linearly: it is meant for tens of routes, not for thousands.
#[derive(Debug, Clone)]
pub struct Router<T> {
    entries: Vec<(Route, T)>,
}

impl<T> Router<T> {
    /// Creates a router from routes, each with the handler of its requests.
    pub fn new(mut entries: Vec<(Route, T)>) -> Self {
        entries.sort_by_key(|(route, _)| std::cmp::Reverse((host_rank(route), route.path.len())));
        Self { entries }
    }

    /// Returns whether any route is restricted to certain hosts.
    pub fn has_hosts(&self) -> bool {
        // Those come first.
        let first = self.entries.first();
        first.is_some_and(|(route, _)| route.host.is_some())
    }

    /// Returns the handler of requests for this host and path, or `None` if no route matches. Both must be normalized:
    /// the host without a port and a trailing dot, in either case of letters, and the path by
    /// [`normalize`](crate::front::headers::path::normalize).
    pub fn find(&self, host: Option<&str>, path: &str) -> Option<&T> {
        let takes = |route: &Route| matches_host(route, host) && matches_path(&route.path, path);
        self.entries
            .iter()
            .find(|(route, _)| takes(route))
            .map(|(_, handler)| handler)
    }
}

/// Ranks exact hosts before wildcards, longer wildcards before shorter ones, and routes for any host last.
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
        // "*.example.com" matches any host below example.com, at any depth, but not example.com.
        Some(suffix) => {
            let end = host.len().checked_sub(suffix.len());
            end.filter(|end| *end > 0)
                .and_then(|end| host.get(end..))
                .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
        }
        None => host.eq_ignore_ascii_case(pattern),
    }
}

/// Returns whether `path` is `prefix` or lies below it, by whole segments: "/v1" matches "/v1" and "/v1/x", not "/v10".
fn matches_path(prefix: &str, path: &str) -> bool {
    let Some(rest) = path.strip_prefix(prefix) else {
        return false;
    };
    rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/')
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
}

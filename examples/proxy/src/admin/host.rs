//! Checks the host of requests to the admin page.

use http::uri::Authority;
use http::{Request, header};

/// The host names under which the admin page may be requested.
///
/// Browsers keep a site from reading the responses of another site, which they tell apart by host name. But a site may
/// resolve its own name to this machine, and then read what it responds (DNS rebinding). Such a request is recognized
/// by its `Host`, which is the name of that site. IP addresses and `localhost` cannot be rebound.
#[derive(Debug, Clone, Default)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// Allows these names in addition to IP addresses and `localhost`.
    pub fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// Returns whether all host fields of a request name this admin page. A request without a host is not from a
    /// browser, and allowed.
    pub fn admit<B>(&self, request: &Request<B>) -> bool {
        let of_uri = request.uri().authority();
        let mut of_headers = request.headers().get_all(header::HOST).iter();
        of_uri.is_none_or(|authority| self.admit_authority(authority))
            && of_headers.all(|host| {
                Authority::try_from(host.as_bytes())
                    .is_ok_and(|authority| self.admit_authority(&authority))
            })
    }

    fn admit_authority(&self, authority: &Authority) -> bool {
        if authority.as_str().contains('@') {
            return false;
        }
        let host = authority.host();
        let host = host.strip_suffix('.').unwrap_or(host);
        let is_address = host.parse::<std::net::Ipv4Addr>().is_ok() || host.starts_with('[');
        is_address
            || host.eq_ignore_ascii_case("localhost")
            || self.0.iter().any(|name| host.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(uri: &str, hosts: &[&str]) -> bool {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        Hosts::new(vec!["proxy.example".to_owned()]).admit(&request.body(()).unwrap())
    }

    #[test]
    fn addresses_and_allowed_names_are_accepted() {
        for host in [
            "127.0.0.1:9090",
            "10.1.2.3",
            "[::1]:9090",
            "[::1]",
            "localhost",
            "LOCALHOST:9090",
            "localhost.",
            "proxy.example:9090",
            "Proxy.Example",
        ] {
            assert!(admitted("/", &[host]), "{host}");
            assert!(admitted(&format!("http://{host}/"), &[]), "{host}");
        }
        assert!(admitted("/", &[]), "an HTTP/1.0 probe");
    }

    #[test]
    fn other_names_are_rejected() {
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "x.localhost.evil",
            "evil-localhost",
            "localhost@evil.example",
            "127.0.0.1@evil.example:80",
            "a, localhost",
            "",
            "2130706433.nip.io",
        ] {
            assert!(!admitted("/", &[host]), "{host}");
            assert!(!admitted("/", &["localhost", host]), "{host}");
            assert!(!admitted("http://localhost/", &[host]), "{host}");
        }
        assert!(!admitted("http://evil.example/", &["localhost"]));
    }
}

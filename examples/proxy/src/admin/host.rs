//! For whom a request to the admin page is.

use http::uri::Authority;
use http::{Request, header};

/// The names by which the admin page may be asked for.
///
/// A browser sends what a page of any site tells it to. It keeps one site from reading the answers of another by their names;
/// but a site may let its own name resolve to this machine, and reads then whatever answers (DNS rebinding). The `Host` shows
/// that: it is the site's name. An address cannot be rebound, and neither can `localhost`.
#[derive(Debug, Clone, Default)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// Besides addresses and `localhost`, these names.
    pub fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// Whether all that a request says of its host is of this admin page. One that says nothing comes from no browser.
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
    fn addresses_and_known_names_are_admitted() {
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
        assert!(admitted("/", &[]), "a probe of HTTP/1.0");
    }

    #[test]
    fn foreign_names_are_not() {
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

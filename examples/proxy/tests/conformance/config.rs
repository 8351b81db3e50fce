//! The configuration of heads, paths and proxies, and the values that it rejects.

use tower_proxy::config::{Config, Paths, Via};

fn parse(top: &str, route: &str) -> Result<Config, String> {
    let text = format!(
        "{top}\n[[listeners]]\nlisten = \"127.0.0.1:0\"\n[[routes]]\ncluster = \"c\"\n{route}\n\
         [clusters.c]\nendpoints = [\"127.0.0.1:1\"]\n"
    );
    Config::parse("proxy.toml", &text).map_err(|error| error.to_string())
}

#[test]
fn the_defaults_are_safe() {
    let config = parse("", "").unwrap();
    assert_eq!(config.max_header_bytes, 65_536);
    assert_eq!(config.max_headers_count, None);
    assert_eq!(config.paths, Paths::Normalized);
    assert_eq!(config.via, Via::Unique);
    assert!(config.trusted_proxies.is_empty());
}

#[test]
fn other_values_are_applied() {
    let config = parse(
        "max_header_bytes = 8192\nmax_headers_count = 200\npaths = \"as_sent\"\nvia = \"edge-1\"\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]",
        "timeout_header = \"x-timeout\"\npath = \"/a.b/.well-known/c%2Fd\"",
    );
    let config = config.unwrap();
    assert_eq!(config.max_header_bytes, 8192);
    assert_eq!(config.max_headers_count, Some(200));
    assert_eq!(config.paths, Paths::AsSent);
    assert_eq!(config.via, Via::Name("edge-1".to_owned()));
    assert_eq!(config.trusted_proxies.len(), 2);
    assert_eq!(parse("via = \"off\"", "").unwrap().via, Via::Off);
}

#[test]
fn a_field_that_http_or_the_proxy_uses_cannot_be_the_timeout_header() {
    for name in [
        "content-length",
        "Transfer-Encoding",
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
        "host",
        "expect",
        "via",
        "cookie",
        "authorization",
        "proxy-authorization",
        "x-forwarded-for",
        "x-forwarded-proto",
        "forwarded",
        "x-real-ip",
    ] {
        let error = parse("", &format!("timeout_header = \"{name}\"")).unwrap_err();
        assert!(
            error.contains("routes[0].timeout_header: found") && error.contains(name),
            "{error}"
        );
    }
}

#[test]
fn invalid_values_are_rejected_by_name() {
    for (top, route, key) in [
        ("max_header_bytes = 100", "", "max_header_bytes"),
        ("max_header_bytes = 10000000", "", "max_header_bytes"),
        ("max_headers_count = 0", "", "max_headers_count"),
        ("max_headers_count = 10001", "", "max_headers_count"),
        ("paths = \"raw\"", "", "paths"),
        ("via = \"a b\"", "", "via"),
        ("via = \"\"", "", "via"),
        (
            "trusted_proxies = [\"10.0.0.0/33\"]",
            "",
            "trusted_proxies[0]",
        ),
        (
            "trusted_proxies = [\"localhost\"]",
            "",
            "trusted_proxies[0]",
        ),
        ("", "path = \"//a\"", "routes[0].path"),
        ("", "path = \"/a/../b\"", "routes[0].path"),
        ("", "path = \"/%61\"", "routes[0].path"),
        ("", "path = \"/a%\"", "routes[0].path"),
    ] {
        let error = parse(top, route).unwrap_err();
        assert!(error.contains(&format!("{key}: ")), "{top}{route}: {error}");
    }
}

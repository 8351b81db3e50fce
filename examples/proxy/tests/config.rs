//! What a configuration may say, and what one is told who got it wrong.

use std::time::Duration;

use proptest::prelude::*;
use tower_proxy::config::{Config, Hedge, Protocol, Route};

const GOOD: &str = include_str!("../proxy.toml");

#[test]
fn the_example_is_good_and_means_what_it_says() {
    let config = Config::parse("proxy.toml", GOOD).unwrap();
    assert_eq!(config.drain, Duration::from_secs(30));
    assert_eq!(config.routes[0].timeout, None);
    assert_eq!(config.routes[1].timeout, Some(Duration::from_secs(15)));
    assert_eq!(
        config.routes[0].label(),
        "*.example.com/helloworld.Greeter/"
    );
    assert_eq!(config.clusters["greeter"].protocol, Protocol::Http2);
    // What the second route says are the defaults.
    let mut defaults = Route::to("web");
    defaults.hedge = Some(Hedge::default());
    assert_eq!(format!("{:?}", config.routes[1]), format!("{defaults:?}"));
    assert_eq!(
        config.clusters["web"].endpoints[1].to_string(),
        "127.0.0.1:3001"
    );
}

/// The example with one piece of text replaced, and the error.
#[track_caller]
fn error(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old} is not in the example");
    Config::parse("proxy.toml", &GOOD.replacen(old, new, 1))
        .unwrap_err()
        .to_string()
}

#[test]
fn errors_name_the_file_the_line_the_key_what_was_found_and_what_is_accepted() {
    for (old, new, expected) in [
        (
            r#"timeout = "off""#,
            r#"timeout = "5 parsecs""#,
            r#"proxy.toml:20:11: routes[0].timeout: found "5 parsecs"; expected a duration such as "250ms", "5s" or "1m", or "off""#,
        ),
        (
            r#"cluster = "greeter""#,
            r#"cluster = "greter""#,
            r#"proxy.toml:19:11: routes[0].cluster: found "greter"; expected the name of a cluster: "greeter", "web""#,
        ),
        (
            r#"protocol = "http2""#,
            r#"protocol = "http3""#,
            "proxy.toml:68:12: clusters.greeter.protocol: found `http3`; expected `http1` or `http2`",
        ),
        (
            "buffer = 1024",
            "buffer = 0",
            "proxy.toml:58:10: clusters.web.buffer: found integer `0`; expected a number from 1 to 1000000",
        ),
        (
            "attempts = 3",
            "attempts = -1",
            "proxy.toml:31:12: routes[1].retry.attempts: found integer `-1`; expected a number from 1 to 10",
        ),
        (
            r#"max_backoff = "250ms""#,
            r#"max_backoff = "2ms""#,
            "proxy.toml:35:15: routes[1].retry.max_backoff: found 2ms; expected at least the backoff of 25ms",
        ),
        (
            r#""127.0.0.1:3001""#,
            r#""127.0.0.1:3000""#,
            r#"proxy.toml:52:32: clusters.web.endpoints[1]: found "127.0.0.1:3000" a second time; expected each once"#,
        ),
        (
            r#"["127.0.0.1:50051"]"#,
            "[]",
            "proxy.toml:69:13: clusters.greeter.endpoints: found none; expected at least one",
        ),
    ] {
        assert_eq!(error(old, new), expected);
    }
}

#[test]
fn errors_of_other_kinds_name_their_place_too() {
    for (old, new, place, words) in [
        (
            "budget = 0.2",
            "budget = nan",
            "proxy.toml:32:",
            "a number from 0 to 10",
        ),
        (
            "budget = 0.2",
            "budgett = 0.2",
            "proxy.toml:32:",
            "unknown key `budgett`; expected one of `attempts`",
        ),
        (
            "statuses = [502, 503, 504]",
            "statuses = [502, 200]",
            "proxy.toml:37:",
            "found integer `200`; expected a status from 400 to 599",
        ),
        (
            r#"grpc_codes = ["unavailable"]"#,
            r#"grpc_codes = ["down"]"#,
            "proxy.toml:38:",
            "the name of a gRPC status",
        ),
        (
            "replay_bytes = 65536",
            r#"replay_bytes = "64KiB""#,
            "proxy.toml:40:",
            "a number of bytes from 0 to 16777216",
        ),
        (
            "percentile = 0.99",
            "percentile = 99",
            "proxy.toml:43:",
            "a number from 0.5 to 1",
        ),
        (
            r#"window = "30s""#,
            r#"window = "30ms""#,
            "proxy.toml:44:",
            "a duration of 100ms or more",
        ),
        (
            r#"timeout_header = "x-request-timeout-ms""#,
            r#"timeout_header = "x request""#,
            "proxy.toml:26:",
            "the name of a header",
        ),
        (
            "weights = [1, 1]",
            "weights = [1]",
            "proxy.toml:53:",
            "found 1; expected one for each of 2 endpoints",
        ),
        (
            "weights = [1, 1]",
            "weights = [1, -1]",
            "proxy.toml:53:",
            "a weight from 0 to 1000",
        ),
        (
            r#"balancer = "p2c""#,
            r#"balancer = "best""#,
            "proxy.toml:54:",
            "found `best`; expected one of `p2c`",
        ),
        (
            r#"hash = "path""#,
            r#"hash = { header = "x user" }"#,
            "proxy.toml:55:",
            "the name of a header",
        ),
        (
            r#"listen = "127.0.0.1:9090""#,
            r#"listen = "localhost""#,
            "proxy.toml:11:",
            "an IP address and a port",
        ),
        (
            r#"listen = "127.0.0.1:9090""#,
            "",
            "proxy.toml:10:",
            "`listen` is missing",
        ),
        (
            r#"host = "*.example.com""#,
            r#"host = "a b""#,
            "proxy.toml:17:",
            "a host such as",
        ),
        (
            r#"path = "/""#,
            r#"path = "x""#,
            "proxy.toml:23:",
            "begins with",
        ),
        (
            r#""127.0.0.1:50051""#,
            r#""127.0.0.1""#,
            "proxy.toml:69:",
            "a host and a port",
        ),
        (
            r#""127.0.0.1:50051""#,
            r#""127.0.0.1:0""#,
            "proxy.toml:69:",
            "a host and a port",
        ),
        (
            r#"drain = "30s""#,
            r#"drain = "30s"#,
            "proxy.toml:4:",
            "string",
        ),
        (
            r#"drain = "30s""#,
            "drain = 30",
            "proxy.toml:4:",
            "found integer `30`; expected a duration",
        ),
        (
            "[clusters.greeter]",
            "[clusters.web]",
            "proxy.toml:67:",
            "duplicate",
        ),
    ] {
        let error = error(old, new);
        assert!(
            error.starts_with(place) && error.contains(words),
            "{new}: {error}"
        );
    }
}

#[test]
fn a_file_without_a_listener_or_a_route_is_refused() {
    for text in ["", "listeners = []\nroutes = []\n[clusters]"] {
        let error = Config::parse("proxy.toml", text).unwrap_err().to_string();
        assert!(error.contains("listeners"), "{error}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named_with_the_reason() {
    let error = Config::from_path(std::path::Path::new("no/such/file.toml"))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("no/such/file.toml: cannot be read: "),
        "{error}"
    );
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(at in 0..GOOD.len(), with in ".{0,8}", cut in 0..20_usize) {
        if let (Some(before), Some(after)) = (GOOD.get(..at), GOOD.get((at + cut).min(GOOD.len())..))
            && let Err(error) = Config::parse("proxy.toml", &format!("{before}{with}{after}"))
        {
            prop_assert!(error.to_string().starts_with("proxy.toml"));
        }
    }
}

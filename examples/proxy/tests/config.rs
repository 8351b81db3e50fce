//! What a configuration may contain, and the errors for what it must not.

use std::time::Duration;

use proptest::prelude::*;
use tower_proxy::config::{Clients, Config, Connections, Hedge, Protocol, Route, Timeout};

const GOOD: &str = include_str!("../proxy.toml");
const REFERENCE: &str = include_str!("../CONFIGURATION.md");

#[test]
fn the_example_is_valid_and_its_values_are_parsed() {
    let config = Config::parse("proxy.toml", GOOD).unwrap();
    assert_eq!(config.drain_timeout, Duration::from_secs(30));
    let timeout = |http, grpc| Timeout { http, grpc };
    assert_eq!(config.routes[0].timeout, timeout(None, None));
    let default = timeout(Some(Duration::from_secs(60)), None);
    assert_eq!(config.routes[1].timeout, default);
    assert_eq!(
        config.routes[0].label(),
        "*.example.com/helloworld.Greeter/"
    );
    assert_eq!(config.clusters["greeter"].protocol, Protocol::Http2);
    // The connection settings and those of the second route are the defaults.
    let (clients, connections) = (Clients::default(), Connections::default());
    assert_eq!(format!("{:?}", config.clients), format!("{clients:?}"));
    let web = &config.clusters["web"].connections;
    assert_eq!(format!("{web:?}"), format!("{connections:?}"));
    let mut defaults = Route::to("web");
    defaults.hedge = Some(Hedge::default());
    assert_eq!(format!("{:?}", config.routes[1]), format!("{defaults:?}"));
    assert_eq!(
        config.clusters["web"].endpoints[1].to_string(),
        "127.0.0.1:3001"
    );
}

/// Replaces one piece of text in the example and returns the error, with `LINE` for the line number of that piece.
#[track_caller]
fn error(old: &str, new: &str) -> String {
    let before = GOOD.split_once(old).expect("it is in the example").0;
    let line = before.matches('\n').count() + 1;
    let error = Config::parse("proxy.toml", &GOOD.replacen(old, new, 1)).unwrap_err();
    let place = format!("proxy.toml:{line}:");
    error.to_string().replacen(&place, "proxy.toml:LINE:", 1)
}

#[test]
fn errors_name_the_file_the_line_the_key_what_was_found_and_what_is_accepted() {
    for (old, new, expected) in [
        (
            r#"timeout = "off""#,
            r#"timeout = "5 parsecs""#,
            r#"proxy.toml:LINE:11: routes[0].timeout: found "5 parsecs"; expected a duration such as "250ms", "5s" or "1m", or "off""#,
        ),
        (
            r#"cluster = "greeter""#,
            r#"cluster = "greter""#,
            r#"proxy.toml:LINE:11: routes[0].cluster: found "greter"; expected the name of a cluster: "greeter", "web""#,
        ),
        (
            r#"protocol = "http2""#,
            r#"protocol = "http3""#,
            "proxy.toml:LINE:12: clusters.greeter.protocol: found `http3`; expected `http1` or `http2`",
        ),
        (
            "queue_capacity = 1024",
            "queue_capacity = 0",
            "proxy.toml:LINE:18: clusters.web.queue_capacity: found integer `0`; expected a number from 1 to 1000000",
        ),
        (
            "max_attempts = 3",
            "max_attempts = -1",
            "proxy.toml:LINE:16: routes[1].retry.max_attempts: found integer `-1`; expected a number from 1 to 10",
        ),
        (
            r#"max_backoff = "250ms""#,
            r#"max_backoff = "2ms""#,
            "proxy.toml:LINE:15: routes[1].retry.max_backoff: found 2ms; expected at least the initial_backoff of 25ms",
        ),
        (
            r#""127.0.0.1:3001""#,
            r#""127.0.0.1:3000""#,
            r#"proxy.toml:LINE:32: clusters.web.endpoints[1]: found "127.0.0.1:3000" a second time; expected each once"#,
        ),
        (
            r#"["127.0.0.1:50051"]"#,
            "[]",
            "proxy.toml:LINE:13: clusters.greeter.endpoints: found none; expected at least one",
        ),
    ] {
        assert_eq!(error(old, new), expected);
    }
}

#[test]
fn errors_of_other_kinds_name_their_position_too() {
    for (old, new, place, words) in [
        (
            "retry_ratio = 0.2",
            "retry_ratio = nan",
            "proxy.toml:LINE:",
            "a number from 0 to 10",
        ),
        (
            "retry_ratio = 0.2",
            "retry_ration = 0.2",
            "proxy.toml:LINE:",
            "unknown key `retry_ration`; expected one of `max_attempts`",
        ),
        (
            "retriable_status_codes = [502, 503, 504]",
            "retriable_status_codes = [502, 200]",
            "proxy.toml:LINE:",
            "found integer `200`; expected a status from 400 to 599",
        ),
        (
            r#"retriable_grpc_codes = ["unavailable"]"#,
            r#"retriable_grpc_codes = ["down"]"#,
            "proxy.toml:LINE:",
            "the name of a gRPC status",
        ),
        (
            "max_replay_bytes = 65536",
            r#"max_replay_bytes = "64KiB""#,
            "proxy.toml:LINE:",
            "a number of bytes from 0 to 16777216",
        ),
        (
            "percentile = 0.99",
            "percentile = 99",
            "proxy.toml:LINE:",
            "a number from 0.5 to 1",
        ),
        (
            r#"window = "30s""#,
            r#"window = "30ms""#,
            "proxy.toml:LINE:",
            "a duration of 100ms or more",
        ),
        (
            r#"timeout_header = "x-request-timeout-ms""#,
            r#"timeout_header = "x request""#,
            "proxy.toml:LINE:",
            "the name of a header",
        ),
        (
            "weights = [1, 1]",
            "weights = [1]",
            "proxy.toml:LINE:",
            "found 1; expected one for each of 2 endpoints",
        ),
        (
            "weights = [1, 1]",
            "weights = [1, -1]",
            "proxy.toml:LINE:",
            "a weight from 0 to 1000",
        ),
        (
            r#"lb_policy = "p2c""#,
            r#"lb_policy = "best""#,
            "proxy.toml:LINE:",
            "found `best`; expected one of `p2c`",
        ),
        (
            r#"hash_policy = "path""#,
            r#"hash_policy = { header = "x user" }"#,
            "proxy.toml:LINE:",
            "the name of a header",
        ),
        (
            r#"listen = "127.0.0.1:9090""#,
            r#"listen = "localhost""#,
            "proxy.toml:LINE:",
            "an IP address and a port",
        ),
        (
            "[admin]",
            "[admin]\n[[routes]]",
            "proxy.toml:LINE:",
            "`listen` is missing",
        ),
        (
            r#"host = "*.example.com""#,
            r#"host = "a b""#,
            "proxy.toml:LINE:",
            "a host such as",
        ),
        (
            r#"path = "/""#,
            r#"path = "x""#,
            "proxy.toml:LINE:",
            "begins with",
        ),
        (
            r#""127.0.0.1:50051""#,
            r#""127.0.0.1""#,
            "proxy.toml:LINE:",
            "a host and a port",
        ),
        (
            r#""127.0.0.1:50051""#,
            r#""127.0.0.1:0""#,
            "proxy.toml:LINE:",
            "a host and a port",
        ),
        (
            r#"drain_timeout = "30s""#,
            r#"drain_timeout = "30s"#,
            "proxy.toml:LINE:",
            "string",
        ),
        (
            r#"drain_timeout = "30s""#,
            "drain_timeout = 30",
            "proxy.toml:LINE:",
            "found integer `30`; expected a duration",
        ),
        (
            "max_concurrent_streams = 128",
            "max_concurrent_streams = 0",
            "proxy.toml:LINE:",
            "a number from 1 to 1000",
        ),
        (
            "initial_stream_window_size = 262144",
            "initial_stream_window_size = 16777216",
            "proxy.toml:LINE:",
            "clients.initial_stream_window_size: found 16777216; expected at most 16777215 for 128 streams",
        ),
        (
            "initial_stream_window_size = 49152",
            "initial_stream_window_size = 1000",
            "proxy.toml:LINE:",
            "a number of bytes from 16384 to 16777216",
        ),
        (
            r#"request_headers_timeout = "30s""#,
            r#"request_headers_timeout = "0s""#,
            "proxy.toml:LINE:",
            "a duration such as \"250ms\", \"5s\" or \"1m\", or \"off\"",
        ),
        (
            "# max_connections = 10000",
            "max_connections = 0",
            "proxy.toml:LINE:",
            "a number from 1 to 1000000",
        ),
        (
            "request_buffer_bytes = 1",
            "request_buffer_bytes = -1",
            "proxy.toml:LINE:",
            "a number of bytes from 0 to 16777216",
        ),
        (
            "[clusters.greeter]",
            "[clusters.web]",
            "proxy.toml:LINE:",
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

/// Replaces one piece of text in a small valid file and returns the error, without the file's name.
#[track_caller]
fn small(old: &str, new: &str) -> String {
    const SMALL: &str = "[admin]\nlisten = \"127.0.0.1:9\"\n[[listeners]]\nlisten = \"127.0.0.1:1\"\n\
        [[routes]]\ncluster = \"a\"\n[clusters.a]\nendpoints = [\"127.0.0.1:2\"]\n";
    Config::parse("f", SMALL).expect("it is good");
    assert!(SMALL.contains(old), "{old}");
    match Config::parse("f", &SMALL.replacen(old, new, 1)) {
        Ok(_) => panic!("{new:?} in place of {old:?} is taken for good"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn inconsistent_values_are_rejected() {
    let route = "cluster = \"a\"\n";
    let endpoints = "endpoints = [\"127.0.0.1:2\"]";
    for (old, new, expected) in [
        (
            route,
            "cluster = \"a\"\nhost = \"A.example\"\n[[routes]]\ncluster = \"a\"\nhost = \"a.EXAMPLE\"\n",
            r#"f:8:1: routes[1]: found "a.EXAMPLE/" a second time; expected a host and path of its own"#,
        ),
        (
            route,
            "cluster = \"a\"\nhost = \"*.a.b\"\n[[routes]]\ncluster = \"a\"\nhost = \"*.A.b\"\n",
            r#"f:8:1: routes[1]: found "*.A.b/" a second time; expected a host and path of its own"#,
        ),
        (
            route,
            "cluster = \"a\"\nlimits = { burst = 5 }\n",
            "f:7:20: routes[0].limits.burst: found 5; expected a requests_per_second beside it",
        ),
        (
            route,
            "cluster = \"a\"\nlimits.per_client = { max_in_flight = 2, burst = 5 }\n",
            "f:7:50: routes[0].limits.per_client.burst: found 5; expected a requests_per_second beside it",
        ),
        (
            endpoints,
            "endpoints = [\"a.b:2\", \"A.B:2\"]",
            r#"f:8:23: clusters.a.endpoints[1]: found "A.B:2" a second time; expected each once"#,
        ),
        (
            endpoints,
            "endpoints = [\"127.0.0.1:2\", \"[::ffff:127.0.0.1]:2\"]",
            r#"f:8:29: clusters.a.endpoints[1]: found "[::ffff:127.0.0.1]:2" a second time; expected each once"#,
        ),
        (
            endpoints,
            "endpoints = [\"127.0.0.1:2\"]\nweights = [0]",
            "f:9:11: clusters.a.weights: found 0 for all endpoints, so that none would get a request; \
             expected one that is more",
        ),
        (
            endpoints,
            "endpoints = [\"127.0.0.1:2\"]\noutlier_detection = { base_ejection_time = \"6m\" }",
            "f:9:44: clusters.a.outlier_detection.base_ejection_time: found 360s; expected at most the max_ejection_time of 300s",
        ),
        (
            endpoints,
            "endpoints = [\"127.0.0.1:2\"]\noutlier_detection = { max_ejection_time = \"10s\" }",
            "f:9:21: clusters.a.outlier_detection.base_ejection_time: found 30s; expected at most the max_ejection_time of 10s",
        ),
        (
            "127.0.0.1:9",
            "127.0.0.1:1",
            "f:2:10: admin.listen: found 127.0.0.1:1, which listeners[0].listen has with 127.0.0.1:1; \
             expected an address of its own",
        ),
        (
            "127.0.0.1:9",
            "0.0.0.0:1",
            "f:2:10: admin.listen: found 0.0.0.0:1, which listeners[0].listen has with 127.0.0.1:1; \
             expected an address of its own",
        ),
        (
            "[[routes]]",
            "[[listeners]]\nlisten = \"[::]:1\"\n[[routes]]",
            "f:6:10: listeners[1].listen: found [::]:1, which listeners[0].listen has with 127.0.0.1:1; \
             expected an address of its own",
        ),
        (
            "127.0.0.1:2",
            "127.0.0.1:1",
            r#"f:8:14: clusters.a.endpoints[0]: found "127.0.0.1:1", where the proxy itself listens (127.0.0.1:1); expected an upstream"#,
        ),
        (
            "[[listeners]]",
            "ready_clusters = [\"a\", \"b\"]\n[[listeners]]",
            r#"f:3:24: admin.ready_clusters[1]: found "b"; expected the name of a cluster: "a""#,
        ),
    ] {
        assert_eq!(small(old, new), expected);
    }
    // A name whose last label is a number must be an IPv4 address.
    let long = format!("{}.example", "a".repeat(64));
    for host in [
        "999.1.1.1",
        "1.2.3",
        "1.2.3.4.5",
        "example.1",
        "1",
        "127.0.0.01",
        "*.127.0.0.1",
        &long,
    ] {
        let error = small(route, &format!("cluster = \"a\"\nhost = \"{host}\"\n"));
        let words = format!("routes[0].host: found {host:?}; expected a host such as");
        assert!(error.contains(&words), "{error}");
        let error = small("127.0.0.1:2", &format!("{host}:2"));
        let words = format!("endpoints[0]: found \"{host}:2\"; expected a host and a port");
        assert!(error.contains(&words), "{error}");
    }
    let hosts = "[\"a.1x\", \"1.example\", \"10.0.0.1\"]";
    let admin = format!("allowed_hosts = {hosts}\n[[listeners]]");
    let good = format!(
        "[admin]\nlisten = \"127.0.0.1:9\"\n{admin}\nlisten = \"127.0.0.1:1\"\n[[routes]]\ncluster = \"a\"\n\
         [clusters.a]\nendpoints = [\"127.0.0.2:1\"]\nweights = [0, 1]\n"
    );
    let good = good.replace("127.0.0.2:1\"]", "127.0.0.2:1\", \"b:1\"]");
    Config::parse("f", &good).unwrap();
}

#[test]
fn errors_are_in_the_words_of_the_file_and_not_of_serde() {
    let route = "cluster = \"a\"\n";
    let endpoints = "endpoints = [\"127.0.0.1:2\"]";
    let after = |text: &str, line: &str| format!("{text}\n{line}\n");
    for (old, new, expected) in [
        (
            route,
            "cluster = \"a\"\ncluster = \"a\"\n".to_owned(),
            "f:7:1: duplicate key `cluster`",
        ),
        (
            route,
            "cluster = \"a\"\nretry = { max_attempts = 2, max_attempts = 3 }\n".to_owned(),
            "f:7:29: duplicate key `max_attempts`",
        ),
        (
            endpoints,
            after(endpoints, "[clusters.a]"),
            "f:9:11: duplicate key `a`",
        ),
        (
            "[[listeners]]",
            "[admin]\n[[listeners]]".to_owned(),
            "f:3:2: duplicate key `admin`",
        ),
        (
            route,
            "cluster = \"a\"\nretry = 3\n".to_owned(),
            "f:7:9: routes[0].retry: found 3; expected a table such as { max_attempts = 3 }",
        ),
        (
            route,
            "cluster = \"a\"\nretry = [3]\n".to_owned(),
            "f:7:9: routes[0].retry: found a list; expected a table such as { max_attempts = 3 }",
        ),
        (
            "[[routes]]",
            "[routes]".to_owned(),
            "f:5:1: routes: found a table; expected a list: [[routes]] before each",
        ),
        (
            "[admin]",
            "[[admin]]".to_owned(),
            "f:1:1: admin: found a list; expected a table: [admin]",
        ),
        (
            "[\"127.0.0.1:2\"]",
            "\"127.0.0.1:2\"".to_owned(),
            r#"f:8:13: clusters.a.endpoints: found "127.0.0.1:2"; expected a list such as ["127.0.0.1:3000"]"#,
        ),
        (
            endpoints,
            after(endpoints, "hash_policy = \"header\""),
            r#"f:9:15: clusters.a.hash_policy: found "header"; expected "path", { header = "x-user" } or { cookie = "session" }"#,
        ),
        (
            endpoints,
            after(endpoints, "protocol = 2"),
            r#"f:9:12: clusters.a.protocol: found 2; expected "http1" or "http2""#,
        ),
        (
            endpoints,
            after(endpoints, "queue_capacity = 2026-01-01"),
            "f:9:18: clusters.a.queue_capacity: found 2026-01-01; expected a number from 1 to 1000000",
        ),
        (
            route,
            "cluster = \"a\"\nhedge = { grpc = 1 }\n".to_owned(),
            "f:7:18: routes[0].hedge.grpc: found integer `1`; expected true or false",
        ),
    ] {
        assert_eq!(small(old, &new), expected);
    }
}

/// Whatever is put in place of each value of the example, the errors do not use serde's names of Rust types.
#[test]
fn errors_do_not_contain_rust_terms() {
    let values = [
        "1",
        "true",
        "\"x\"",
        "[]",
        "[1]",
        "[[1]]",
        "{}",
        "{ x = 1 }",
        "1.5",
        "2026-01-01",
        "-1",
        "\"\"",
    ];
    for line in GOOD.lines().filter(|line| line.contains(" = ")) {
        let key = line.split_once(" = ").unwrap().0;
        for value in values {
            let text = GOOD.replacen(line, &format!("{key} = {value}"), 1);
            let Err(error) = Config::parse("proxy.toml", &text) else {
                continue;
            };
            let error = error.to_string();
            for word in [
                "struct",
                "sequence",
                " map",
                "variant",
                "i128",
                "u64",
                "enum",
                "wanted",
                "string or",
            ] {
                assert!(!error.contains(word), "{key} = {value}: {error}");
            }
        }
    }
}

#[test]
fn values_accepted_by_no_kind_are_quoted_unchanged() {
    let endpoints = "endpoints = [\"127.0.0.1:2\"]";
    for (line, expected) in [
        (
            "queue_capacity = 99_999_999_999_999_999_999",
            "f:9:18: clusters.a.queue_capacity: found 99_999_999_999_999_999_999; expected a number from 1 to 1000000",
        ),
        (
            "queue_capacity = 1.5",
            "f:9:18: clusters.a.queue_capacity: found number `1.5`; expected a number from 1 to 1000000",
        ),
        (
            "hash_policy = { header = \"a\", cookie = \"b\" }",
            r#"f:9:15: clusters.a.hash_policy: found a table; expected "path", { header = "x-user" } or { cookie = "session" }"#,
        ),
        (
            "hash_policy = { heeder = \"a\" }",
            "f:9:17: clusters.a.hash_policy: unknown key `heeder`; expected `header` or `cookie`",
        ),
        (
            "outlier_detection = { enabled = \"no\" }",
            r#"f:9:33: clusters.a.outlier_detection.enabled: found "no"; expected true or false"#,
        ),
    ] {
        assert_eq!(
            small(endpoints, &format!("{endpoints}\n{line}\n")),
            expected
        );
    }
    let config = "[[listeners]]\nlisten = \"127.0.0.1:1\"\n[[routes]]\ncluster = \"a\"\nhedge = { percentile = 1 }\n\
        [clusters.a]\nendpoints = [\"127.0.0.1:2\"]\nqueue_capacity = 0x10\nhash_policy = { cookie = \"b\" }\n";
    let config = Config::parse("f", config).expect("integers may stand for numbers, in any base");
    assert_eq!(config.clusters["a"].queue_capacity, 16);
}

/// Regression: the position was looked up by the key as text, which was split at the dot.
#[test]
fn an_error_in_a_cluster_with_a_dot_in_its_name_has_the_right_line() {
    let error = small(
        "[clusters.a]",
        "[clusters.\"a.b\"]\nendpoints = []\n[clusters.a]",
    );
    assert!(
        error.starts_with("f:8:13: clusters.a.b.endpoints: found none"),
        "{error}"
    );
}

/// By table, as in `CONFIGURATION.md`.
#[test]
fn a_key_that_was_renamed_is_an_error_that_names_the_new_one() {
    let listener = "[[listeners]]\nlisten = \"127.0.0.1:1\"\n";
    for (header, renamed) in [
        (
            "",
            &[
                ("drain", "drain_timeout"),
                ("max_head_size", "max_header_bytes"),
                ("max_head_fields", "max_headers_count"),
            ][..],
        ),
        ("[admin]", &[("hosts", "allowed_hosts")]),
        (
            "[clients]",
            &[
                ("head_timeout", "request_headers_timeout"),
                ("max_age", "max_connection_age"),
                ("keep_alive", "keep_alive_interval"),
                ("max_streams", "max_concurrent_streams"),
                ("stream_window", "initial_stream_window_size"),
            ],
        ),
        (
            "[[routes]]\n[routes.limits]",
            &[
                ("concurrency", "max_in_flight"),
                ("request_buffer", "request_buffer_bytes"),
            ],
        ),
        (
            "[[routes]]\n[routes.retry]",
            &[
                ("attempts", "max_attempts"),
                ("budget", "retry_ratio"),
                ("min_per_second", "min_retries_per_second"),
                ("backoff", "initial_backoff"),
                ("attempt_timeout", "per_try_timeout"),
                ("statuses", "retriable_status_codes"),
                ("grpc_codes", "retriable_grpc_codes"),
                ("replay_bytes", "max_replay_bytes"),
            ],
        ),
        (
            "[[routes]]\n[routes.hedge]",
            &[("floor", "min_delay"), ("budget", "max_extra_load")],
        ),
        (
            "[clusters.a]",
            &[
                ("balancer", "lb_policy"),
                ("hash", "hash_policy"),
                ("unavailable_timeout", "failfast_timeout"),
                ("buffer", "queue_capacity"),
                ("outliers", "outlier_detection"),
            ],
        ),
        (
            "[clusters.a.outlier_detection]",
            &[
                ("consecutive", "consecutive_failures"),
                ("ejection_time", "base_ejection_time"),
            ],
        ),
        (
            "[clusters.a.connections]",
            &[
                ("max", "max_connections"),
                ("max_age", "max_connection_age"),
                ("keep_alive", "keep_alive_interval"),
                ("max_streams", "max_concurrent_streams"),
                ("stream_window", "initial_stream_window_size"),
            ],
        ),
    ] {
        for (old, new) in renamed {
            let before = format!("{header}\n");
            let line = before.lines().count() + 1;
            let text = format!("{before}{old} = 1\n{listener}");
            let error = Config::parse("f", &text).unwrap_err();
            let width = old.len();
            let excerpt = format!("  |\n{line} | {old} = 1\n  | {}", "^".repeat(width));
            assert_eq!(error.excerpt().unwrap().to_string(), excerpt);
            let error = error.to_string();
            let words = format!("unknown key `{old}`: it is called `{new}`");
            assert!(
                error.starts_with(&format!("f:{line}:1: ")) && error.ends_with(&words),
                "{header}: {error}"
            );
            let row = format!("| `{old}` | `{new}` |");
            assert!(REFERENCE.contains(&row), "{row}");
        }
    }
}

/// The example has every key, and the reference has a row for each in the section of its table.
#[test]
fn the_reference_explains_every_key_of_the_example() {
    let mut section = "# The file itself";
    let sections = [
        ("[admin]", "# `[admin]`"),
        ("[[listeners]]", "# `[[listeners]]`"),
        ("[clients]", "# `[clients]`"),
        ("[[routes]]", "# `[[routes]]`"),
        ("[routes.limits]", "## `[routes.limits]`"),
        (
            "[routes.limits.per_client]",
            "## `[routes.limits.per_client]`",
        ),
        ("[routes.retry]", "## `[routes.retry]`"),
        ("[routes.hedge]", "## `[routes.hedge]`"),
        ("[clusters.web]", "# `[clusters.NAME]`"),
        ("[clusters.greeter]", "# `[clusters.NAME]`"),
        (
            "[clusters.web.outlier_detection]",
            "## `[clusters.NAME.outlier_detection]`",
        ),
        (
            "[clusters.web.connections]",
            "## `[clusters.NAME.connections]`",
        ),
    ];
    let explains = |section: &str, key: &str| {
        let (_, rest) = REFERENCE
            .split_once(&format!("\n{section}\n"))
            .unwrap_or_else(|| panic!("no section {section}"));
        let rows = rest.lines().take_while(|line| !line.starts_with('#'));
        let row = format!("| `{key}` | ");
        assert!(
            rows.into_iter().any(|line| line.starts_with(&row)),
            "{section}: {key}"
        );
    };
    let mut keys = 0;
    for line in GOOD.lines() {
        if line.starts_with('[') {
            let header = line.split('#').next().unwrap().trim();
            let of_header = sections.iter().find(|(name, _)| *name == header);
            section = of_header.unwrap_or_else(|| panic!("{header}")).1;
            continue;
        }
        let line = line.strip_prefix("# ").unwrap_or(line);
        match line.split_once(" = ") {
            Some((key, _)) => explains(section, key),
            None => continue,
        }
        keys += 1;
    }
    assert!(keys > 60, "{keys}");
}

#[test]
fn a_file_without_a_listener_or_a_route_is_rejected() {
    for text in ["", "listeners = []\nroutes = []\n[clusters]"] {
        let error = Config::parse("proxy.toml", text).unwrap_err().to_string();
        assert!(error.contains("listeners"), "{error}");
    }
}

#[test]
fn a_missing_file_is_named_with_the_reason() {
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

//! Which HTTP and gRPC responses count as failures, and which pushback is honoured.

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response};
use tower_classify::Classify;
use tower_classify::http::HttpClassify;
use tower_load::estimate::Estimate;

/// The effect of a response on the load of the endpoint.
#[derive(Debug, PartialEq)]
enum Effect {
    Success,
    Failure,
    /// No requests for this number of seconds.
    Backoff(u64),
}

use Effect::{Backoff, Failure, Success};

fn effect(status: u16, headers: &[(&str, &str)]) -> Effect {
    let mut request = Request::new(());
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
        if *name == "content-type" {
            request
                .headers_mut()
                .insert("content-type", value.parse().unwrap());
        }
    }
    let (classify, response) = (HttpClassify::new(), response.body(()).unwrap());
    let info = Classify::<_, Response<()>, Infallible>::info(&classify, &request);
    let class = Classify::<Request<()>, _, Infallible>::classify(&classify, &info, Ok(&response));

    let estimate = Estimate::new(0, Duration::from_secs(10), Duration::from_secs(1));
    estimate.begin(0);
    estimate.end(0, Some(class), 0);
    let is_backing_off = |seconds: u64| estimate.cost(seconds * 1_000_000_000) > 1e16;
    match (0..=LONGEST).find(|seconds| !is_backing_off(*seconds)) {
        Some(0) if estimate.cost(0) > 1.5e9 => Failure,
        Some(0) => Success,
        seconds => Backoff(seconds.expect("a backoff ends")),
    }
}

/// The longest backoff to look for, in seconds.
const LONGEST: u64 = 301;

#[test]
fn overload_and_server_errors_are_failures() {
    for status in [429, 500, 501, 502, 503, 504, 599] {
        assert_eq!(effect(status, &[]), Failure, "{status}");
    }
    for status in [200, 204, 301, 400, 401, 404, 408, 499] {
        assert_eq!(effect(status, &[]), Success, "{status}");
    }
}

#[test]
fn retry_after_is_parsed_as_seconds_or_as_a_date() {
    for (text, expected) in [
        ("0", Failure),
        (" 120 ", Backoff(120)),
        ("99999999999999999999999", Backoff(300)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Failure),
        ("", Failure),
        ("-1", Failure),
        ("1.5", Failure),
        ("soon", Failure),
    ] {
        assert_eq!(effect(503, &[("retry-after", text)]), expected, "{text}");
    }
    assert_eq!(effect(200, &[("retry-after", "5")]), Success);
}

#[test]
fn a_grpc_status_counts_only_in_a_grpc_response() {
    let grpc = ("content-type", "application/grpc+proto");
    for (status, expected) in [
        ("0", Success),
        ("3", Success),
        ("8", Failure),
        ("13", Failure),
        ("14", Failure),
        ("x", Failure),
    ] {
        let status = ("grpc-status", status);
        assert_eq!(effect(200, &[grpc, status]), expected, "{status:?}");
        assert_eq!(effect(200, &[status]), Success);
    }
    let unavailable = ("grpc-status", "14");
    for (text, expected) in [("1000", Backoff(1)), ("-1", Failure), ("soon", Failure)] {
        let pushback = ("grpc-retry-pushback-ms", text);
        assert_eq!(effect(200, &[grpc, unavailable, pushback]), expected);
    }
    assert_eq!(effect(503, &[grpc]), Failure, "from a proxy");
}

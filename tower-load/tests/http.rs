//! Which responses of HTTP and gRPC count as failures, and which pauses are honoured.

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response};
use tower_classify::Classify;
use tower_classify::http::HttpClassify;
use tower_load::estimate::Estimate;

/// What a response means for the load of the endpoint.
#[derive(Debug, PartialEq)]
enum Effect {
    Answered,
    Failed,
    /// No requests for this number of seconds.
    Pause(u64),
}

use Effect::{Answered, Failed, Pause};

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
    let is_held = |seconds: u64| estimate.cost(seconds * 1_000_000_000) > 1e16;
    match (0..=LONGEST).find(|seconds| !is_held(*seconds)) {
        Some(0) if estimate.cost(0) > 1.5e9 => Failed,
        Some(0) => Answered,
        seconds => Pause(seconds.expect("a pause ends")),
    }
}

/// In seconds.
const LONGEST: u64 = 301;

#[test]
fn overload_and_server_errors_are_failures() {
    for status in [429, 500, 501, 502, 503, 504, 599] {
        assert_eq!(effect(status, &[]), Failed, "{status}");
    }
    for status in [200, 204, 301, 400, 401, 404, 408, 499] {
        assert_eq!(effect(status, &[]), Answered, "{status}");
    }
}

#[test]
fn a_pause_is_read_in_seconds_or_as_a_date() {
    for (text, expected) in [
        ("0", Failed),
        (" 120 ", Pause(120)),
        ("99999999999999999999999", Pause(300)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Failed),
        ("", Failed),
        ("-1", Failed),
        ("1.5", Failed),
        ("soon", Failed),
    ] {
        assert_eq!(effect(503, &[("retry-after", text)]), expected, "{text}");
    }
    assert_eq!(effect(200, &[("retry-after", "5")]), Answered);
}

#[test]
fn a_grpc_status_counts_in_grpc_only() {
    let grpc = ("content-type", "application/grpc+proto");
    for (status, expected) in [
        ("0", Answered),
        ("3", Answered),
        ("8", Failed),
        ("13", Failed),
        ("14", Failed),
        ("x", Failed),
    ] {
        let status = ("grpc-status", status);
        assert_eq!(effect(200, &[grpc, status]), expected, "{status:?}");
        assert_eq!(effect(200, &[status]), Answered);
    }
    let unavailable = ("grpc-status", "14");
    for (text, expected) in [("1000", Pause(1)), ("-1", Failed), ("soon", Failed)] {
        let pushback = ("grpc-retry-pushback-ms", text);
        assert_eq!(effect(200, &[grpc, unavailable, pushback]), expected);
    }
    assert_eq!(effect(503, &[grpc]), Failed, "by a proxy");
}

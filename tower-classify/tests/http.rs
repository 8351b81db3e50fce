//! Classification of HTTP and gRPC responses.
#![cfg(feature = "http")]

use std::convert::Infallible;
use std::time::Duration;

use http::{HeaderMap, Request, Response, StatusCode};
use tower_classify::http::{Code, HttpClassify};
use tower_classify::{BoxError, Class, Classify, FailureKind, Pushback, Unsent};

fn response(status: u16, headers: &[(&str, &str)]) -> Response<()> {
    let response = Response::builder().status(status);
    let response = headers.iter().fold(response, |response, (name, value)| {
        response.header(*name, *value)
    });
    response.body(()).unwrap()
}

fn classify(classify: &HttpClassify, content_type: &str, response: &Response<()>) -> Class {
    let request = Request::builder().header("content-type", content_type);
    let info = Classify::<_, Response<()>, Infallible>::info(classify, &request.body(()).unwrap());
    Classify::<Request<()>, _, Infallible>::classify(classify, &info, Ok(response))
}

fn http(status: u16, headers: &[(&str, &str)]) -> Class {
    classify(
        &HttpClassify::new(),
        "text/plain",
        &response(status, headers),
    )
}

fn grpc(headers: &[(&str, &str)]) -> Class {
    classify(
        &HttpClassify::new(),
        "application/grpc",
        &response(200, headers),
    )
}

/// Returns the kind of the failure, whether it is transient, and its pushback.
fn failure(class: Class) -> (FailureKind, bool, Option<Pushback>) {
    let Class::Failure(failure) = class else {
        panic!("{class:?} is not a failure");
    };
    (failure.kind(), failure.is_transient(), failure.pushback())
}

#[test]
fn server_errors_and_429_are_failures() {
    for (status, kind, transient) in [
        (429, FailureKind::Overloaded, false),
        (500, FailureKind::Internal, false),
        (501, FailureKind::Internal, false),
        (502, FailureKind::Unavailable, true),
        (503, FailureKind::Unavailable, true),
        (504, FailureKind::Timeout, true),
        (599, FailureKind::Internal, false),
    ] {
        assert_eq!(
            failure(http(status, &[])),
            (kind, transient, None),
            "{status}"
        );
    }
    for status in [100, 200, 204, 301, 400, 401, 404, 408, 499, 600, 999] {
        assert_eq!(http(status, &[]), Class::Success, "{status}");
    }
}

#[test]
fn retry_after_is_a_pushback() {
    let after = |seconds| Some(Pushback::After(Duration::from_secs(seconds)));
    let told = |status, text| failure(http(status, &[("retry-after", text)]));
    assert_eq!(told(503, "5"), (FailureKind::Unavailable, true, after(5)));
    assert_eq!(told(500, "5"), (FailureKind::Internal, false, after(5)));
    assert_eq!(told(429, "0"), (FailureKind::Overloaded, true, after(0)));
    let past = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(told(429, past), (FailureKind::Overloaded, true, after(0)));
    assert_eq!(told(429, "soon"), (FailureKind::Overloaded, false, None));
    assert_eq!(http(200, &[("retry-after", "5")]), Class::Success);
}

#[test]
fn a_grpc_status_counts_only_in_grpc_calls() {
    for (status, kind, transient) in [
        ("2", FailureKind::Internal, false),
        ("4", FailureKind::Timeout, false),
        ("8", FailureKind::Overloaded, false),
        ("13", FailureKind::Internal, false),
        ("14", FailureKind::Unavailable, true),
        ("15", FailureKind::Internal, false),
        ("x", FailureKind::Internal, false),
    ] {
        let class = grpc(&[("grpc-status", status)]);
        assert_eq!(failure(class), (kind, transient, None), "{status}");
        assert_eq!(http(200, &[("grpc-status", status)]), Class::Success);
    }
    for status in ["0", "3", "5", "6", "7", "9", "10", "11", "12", "16"] {
        assert_eq!(grpc(&[("grpc-status", status)]), Class::Success, "{status}");
    }
    assert_eq!(grpc(&[("grpc-status", "1")]), Class::Ignored);
}

#[test]
fn a_grpc_pushback_is_parsed() {
    let told = |status, text| {
        let headers = [("grpc-status", status), ("grpc-retry-pushback-ms", text)];
        failure(grpc(&headers))
    };
    let second = Some(Pushback::After(Duration::from_secs(1)));
    assert_eq!(told("14", "1000"), (FailureKind::Unavailable, true, second));
    assert_eq!(told("8", "1000"), (FailureKind::Overloaded, true, second));
    let never = Some(Pushback::Never);
    assert_eq!(told("14", "-1"), (FailureKind::Unavailable, true, never));
    assert_eq!(told("14", "soon"), (FailureKind::Unavailable, true, never));
}

#[test]
fn without_a_grpc_status_the_http_status_decides() {
    let by = |status, headers: &[(&str, &str)]| {
        classify(
            &HttpClassify::new(),
            "application/grpc+proto",
            &response(status, headers),
        )
    };
    let second = Some(Pushback::After(Duration::from_secs(1)));
    for (status, kind) in [
        (429, FailureKind::Overloaded),
        (502, FailureKind::Unavailable),
        (503, FailureKind::Unavailable),
        (504, FailureKind::Unavailable),
    ] {
        let class = by(status, &[("retry-after", "1")]);
        assert_eq!(failure(class), (kind, true, second));
    }
    // Neither a redirect nor an error page is a gRPC response.
    for status in [302, 400, 500] {
        assert_eq!(
            failure(by(status, &[])),
            (FailureKind::Internal, false, None)
        );
    }
    for status in [401, 403, 404] {
        assert_eq!(by(status, &[]), Class::Success, "{status}");
    }
}

#[test]
fn the_status_of_a_grpc_response_is_in_its_trailers() {
    let classify = HttpClassify::new();
    let head = |grpc, headers: &HeaderMap| classify.head(grpc, StatusCode::OK, headers);
    assert_eq!(head(true, &HeaderMap::new()), None);
    assert_eq!(head(false, &HeaderMap::new()), Some(Class::Success));
    let trailers = |status| {
        response(200, &[("grpc-status", status)])
            .into_parts()
            .0
            .headers
    };
    assert_eq!(head(true, &trailers("0")), Some(Class::Success));
    assert_eq!(classify.trailers(Some(&trailers("0"))), Class::Success);
    let unavailable = classify.trailers(Some(&trailers("14")));
    assert_eq!(failure(unavailable).0, FailureKind::Unavailable);
    // A stream that ends without a status.
    assert_eq!(failure(classify.trailers(None)).0, FailureKind::Internal);
}

#[test]
fn the_rules_can_be_changed() {
    let busy = HttpClassify::new()
        .failures([StatusCode::NOT_FOUND])
        .transient([StatusCode::REQUEST_TIMEOUT])
        .add_transient([StatusCode::TOO_EARLY])
        .grpc_failures([])
        .grpc_transient([Code::Aborted]);
    let by = |content, status, headers: &[(&str, &str)]| {
        classify(&busy, content, &response(status, headers))
    };
    assert!(!failure(by("", 404, &[])).1);
    assert!(failure(by("", 408, &[])).1);
    assert!(failure(by("", 425, &[])).1);
    assert_eq!(by("", 503, &[]), Class::Success);
    assert_eq!(by("", 429, &[("retry-after", "1")]), Class::Success);
    assert!(failure(by("application/grpc", 200, &[("grpc-status", "10")])).1);
    let internal = [("grpc-status", "13")];
    assert_eq!(by("application/grpc", 200, &internal), Class::Success);
}

#[test]
fn errors_are_classified_by_their_chain_or_by_a_closure() {
    let error = BoxError::from(Unsent::new("refused"));
    let classify = HttpClassify::new();
    let class = Classify::<Request<()>, Response<()>, _>::classify(&classify, &false, Err(&error));
    assert_eq!(class, Class::Unsent);
    let classify = classify.errors(|_: &u8| Class::Ignored);
    let class = Classify::<Request<()>, Response<()>, _>::classify(&classify, &false, Err(&1));
    assert_eq!(class, Class::Ignored);
}

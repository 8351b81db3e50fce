//! Which HTTP and gRPC requests are hedged, and how hedges are marked.
#![cfg(feature = "http")]

use http::{Method, Request, header};
use tower_hedge::Policy;
use tower_hedge::http::HttpPolicy;

type Body = String;

fn request(method: Method, header: Option<(&str, &str)>) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri("/path")
        .extension(7_u8);
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    request.body(Body::from("body")).unwrap()
}

const GRPC: Option<(&str, &str)> = Some(("content-type", "application/grpc"));
const KEY: Option<(&str, &str)> = Some(("idempotency-key", "1"));

fn is_hedged(policy: &HttpPolicy<Body>, method: Method, header: Option<(&str, &str)>) -> bool {
    policy.clone_request(&request(method, header)).is_some()
}

#[test]
fn only_safe_requests_are_hedged() {
    let policy = HttpPolicy::new();
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE] {
        assert!(is_hedged(&policy, method, None));
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::CONNECT] {
        assert!(!is_hedged(&policy, method.clone(), None));
        assert!(is_hedged(&policy, method, KEY));
    }
    assert!(!is_hedged(&policy, Method::POST, GRPC));
}

#[test]
fn the_rules_can_be_changed() {
    let policy = HttpPolicy::new()
        .methods([Method::PUT])
        .idempotency_key(false)
        .grpc(true);
    assert!(is_hedged(&policy, Method::PUT, None));
    assert!(!is_hedged(&policy, Method::GET, None));
    assert!(!is_hedged(&policy, Method::POST, KEY));
    assert!(is_hedged(&policy, Method::POST, GRPC));
    let web = Some(("content-type", "application/grpc-web"));
    assert!(!is_hedged(&policy, Method::POST, web));
    let policy = HttpPolicy::new().add_methods([Method::PUT]);
    assert!(is_hedged(&policy, Method::PUT, None));
    assert!(is_hedged(&policy, Method::GET, None));
}

#[test]
fn a_copy_has_all_parts_of_the_request() {
    let original = request(Method::GET, KEY);
    let copy = HttpPolicy::new().clone_request(&original).unwrap();
    assert_eq!(copy.method(), original.method());
    assert_eq!(copy.uri(), original.uri());
    assert_eq!(copy.version(), original.version());
    assert_eq!(copy.headers(), original.headers());
    assert_eq!(copy.extensions().get::<u8>(), Some(&7));
    assert_eq!(copy.body(), original.body());
}

#[test]
fn a_request_whose_body_cannot_be_copied_is_not_hedged() {
    let policy = HttpPolicy::with_body(|body: &Body| body.is_empty().then(Body::new));
    assert!(!is_hedged(&policy, Method::GET, None));
    let empty = request(Method::GET, None).map(|_| Body::new());
    assert!(policy.clone_request(&empty).is_some());
}

#[test]
fn only_grpc_requests_carry_the_number_of_attempts() {
    let policy = HttpPolicy::new();
    let name = "grpc-previous-rpc-attempts";
    let mut call = request(Method::POST, GRPC);
    Policy::prepare_copy(&policy, &mut call, 2);
    assert_eq!(call.headers()[name], "2");
    let mut get = request(Method::GET, Some((header::ACCEPT.as_str(), "*/*")));
    Policy::prepare_copy(&policy, &mut get, 2);
    assert!(!get.headers().contains_key(name));
}

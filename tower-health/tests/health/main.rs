//! The wrappers with a balancer.

mod accrual;
mod cancelled;
mod check;
#[cfg(all(feature = "check-tcp", feature = "check-http", feature = "check-grpc"))]
mod check_sockets;
mod fail_closed;
mod outlier;
mod slow_start;
mod states;
mod timeout;

use std::task::Poll;
use std::time::Duration;

use tokio_test::assert_ready;
use tower_load::Constant;
use tower_service::Service;
use tower_test::mock::{self, Handle, Mock, Spawn};
use tower_util::BoxError;

pub(crate) type Inner = Constant<Mock<u32, u32>, u32>;
pub(crate) type Requests = Handle<u32, u32>;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Creates an endpoint that is always ready.
pub(crate) fn endpoint(load: u32) -> (Inner, Requests) {
    let (service, mut handle) = mock::pair();
    handle.allow(1000);
    (Constant::new(service, load), handle)
}

/// Sends a request, which succeeds if `works` and otherwise fails.
pub(crate) async fn send<S>(balance: &mut Spawn<S>, handle: &mut Requests, works: bool)
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    assert_ready!(balance.poll_ready()).unwrap();
    let response = balance.call(1);
    let (_, answer) = assert_ready!(handle.poll_request()).expect("it was sent there");
    match works {
        true => answer.send_response(1),
        false => answer.send_error("failed"),
    }
    assert_eq!(response.await.is_ok(), works);
}

/// Returns whether the endpoint of `handle` receives any of some requests. The requests are cancelled.
pub(crate) fn gets_any<S>(balance: &mut Spawn<S>, handle: &mut Requests) -> bool
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    while let Poll::Ready(Some(_)) = handle.poll_request() {}
    for n in 0..10 {
        if balance.poll_ready().is_ready() {
            drop(balance.call(n));
        }
    }
    let mut any = false;
    while let Poll::Ready(Some(_)) = handle.poll_request() {
        any = true;
    }
    any
}

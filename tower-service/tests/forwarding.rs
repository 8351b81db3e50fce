//! The forwarding implementations preserve the contract of the inner service.

use std::future::{Ready, poll_fn, ready};
use std::task::{Context, Poll};
use tower_service::Service;

/// Counts polls and calls. A call fails unless the service was polled to readiness since the last call.
#[derive(Default)]
struct Strict {
    ready: bool,
    calls: usize,
}

impl Service<u32> for Strict {
    type Response = u32;
    type Error = &'static str;
    type Future = Ready<Result<u32, &'static str>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        self.calls += 1;
        ready(if std::mem::take(&mut self.ready) {
            Ok(request + 1)
        } else {
            Err("not ready")
        })
    }
}

async fn ask<S: Service<u32, Response = u32, Error = &'static str>>(
    mut service: S,
    request: u32,
) -> Result<u32, &'static str> {
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}

#[tokio::test]
async fn a_mutable_reference_forwards_readiness_and_calls() {
    let mut strict = Strict::default();
    assert_eq!(ask(&mut strict, 1).await, Ok(2));
    assert_eq!(ask(&mut &mut strict, 2).await, Ok(3));
    assert_eq!(strict.calls, 2);
}

#[tokio::test]
async fn a_box_forwards_readiness_and_calls_even_if_unsized() {
    assert_eq!(ask(Box::new(Strict::default()), 1).await, Ok(2));

    type Erased = dyn Service<
            u32,
            Response = u32,
            Error = &'static str,
            Future = Ready<Result<u32, &'static str>>,
        > + Send;
    let erased: Box<Erased> = Box::<Strict>::default();
    assert_eq!(ask(erased, 2).await, Ok(3));
}

#[tokio::test]
async fn a_call_without_readiness_is_forwarded_unchanged() {
    assert_eq!(Box::new(Strict::default()).call(1).await, Err("not ready"));
}

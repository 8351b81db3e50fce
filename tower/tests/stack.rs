//! A stack of many layers works together.
#![cfg(feature = "full")]

use std::time::Duration;

use tower::ext::WrapExt;
use tower::retry::Policy;
use tower::timeout::TimeoutLayer;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};

/// Retries nothing.
#[derive(Clone)]
struct Never;

impl Policy<u32, u32, BoxError> for Never {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _request: &mut u32,
        _result: &mut Result<u32, BoxError>,
    ) -> Option<Self::Future> {
        None
    }

    fn clone_request(&mut self, request: &u32) -> Option<u32> {
        Some(*request)
    }
}

#[tokio::test(start_paused = true)]
async fn layers_work_together_from_the_outside_in() -> Result<(), BoxError> {
    let service = ServiceBuilder::new()
        .boxed_clone()
        .load_shed()
        .buffer(8)
        .concurrency_limit(4)
        .rate_limit(2, Duration::from_secs(1))
        .option_layer(Some(TimeoutLayer::new(Duration::from_secs(1))))
        .retry(Never)
        .map_request(|n: u32| n + 1)
        .map_response(|n: u32| n * 2)
        .timeout(Duration::from_secs(9))
        .service_fn(async |n: u32| {
            if n == 1 {
                Err(BoxError::from("one"))
            } else {
                Ok(n + 10)
            }
        });
    assert_eq!(service.clone().oneshot(1).await?, 24);
    assert_eq!(service.oneshot(0).await.unwrap_err().to_string(), "one");
    Ok(())
}

/// Its future is `Send`, and not `Sync`.
async fn half(n: u32) -> Result<u32, BoxError> {
    let cell = std::cell::Cell::new(n);
    tokio::task::yield_now().await;
    Ok(cell.take() / 2)
}

fn assert_sync_and_clone<T: Sync + Clone>(service: T) -> T {
    service
}

#[tokio::test]
async fn futures_of_boxed_services_need_not_be_sync() -> Result<(), BoxError> {
    let service = ServiceBuilder::new().boxed_clone_sync().service_fn(half);
    assert_eq!(assert_sync_and_clone(service).oneshot(4).await?, 2);
    let service = service_fn(half).boxed_clone_sync();
    assert_eq!(assert_sync_and_clone(service).oneshot(4).await?, 2);
    Ok(())
}

/// Retries once.
#[derive(Clone)]
struct Once(bool);

impl Policy<u32, u32, BoxError> for Once {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _request: &mut u32,
        result: &mut Result<u32, BoxError>,
    ) -> Option<Self::Future> {
        (result.is_err() && !std::mem::replace(&mut self.0, true)).then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &u32) -> Option<u32> {
        Some(*request)
    }
}

#[tokio::test]
async fn the_methods_of_wrap_ext_are_those_layers() -> Result<(), BoxError> {
    let mut calls = 0;
    // Not `Clone`, so it must be buffered.
    let flaky = service_fn(move |n: u32| {
        calls += 1;
        std::future::ready(if calls % 2 == 1 {
            Err(BoxError::from("odd"))
        } else {
            Ok(n + calls)
        })
    });
    let service = WrapExt::<u32>::buffered(flaky, 4).retry(Once(false));
    assert_eq!(service.clone().oneshot(0).await?, 2);
    assert_eq!(service.oneshot(0).await?, 4);
    Ok(())
}

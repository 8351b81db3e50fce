//! A stack of everything holds together.
#![cfg(feature = "full")]

use std::time::Duration;

use tower::retry::Policy;
use tower::timeout::TimeoutLayer;
use tower::{BoxError, ServiceBuilder, ServiceExt};

/// Sends nothing again.
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

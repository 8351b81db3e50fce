//! Errors of layers, as a caller sees them.
#![cfg(feature = "full")]

use std::future::pending;
use std::time::Duration;

use tower::classify::{Class, FailureKind, LayerErrors, RefusalKind, refusal};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

const MS: Duration = Duration::from_millis(1);

fn kinds(error: &BoxError) -> (Option<RefusalKind>, Class) {
    let refusal = refusal(error.as_ref()).map(|refusal| refusal.kind());
    (refusal, LayerErrors::class(error.as_ref()))
}

async fn hang((): ()) -> Result<(), BoxError> {
    pending().await
}

#[tokio::test(start_paused = true)]
async fn each_refusal_is_told_from_the_errors_of_the_service() {
    let timeout = ServiceBuilder::new().timeout(MS).service_fn(hang);
    assert_eq!(
        kinds(&timeout.oneshot(()).await.unwrap_err()),
        (
            Some(RefusalKind::Elapsed),
            Class::failure(FailureKind::Timeout)
        )
    );

    let mut limited = ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(1)
        .service_fn(hang);
    let _in_flight = limited.ready().await.unwrap().call(());
    assert_eq!(
        kinds(&limited.oneshot(()).await.unwrap_err()),
        (
            Some(RefusalKind::Overloaded),
            Class::failure(FailureKind::Overloaded)
        )
    );

    let error = BoxError::from("the service's own");
    assert_eq!(
        kinds(&error),
        (None, Class::failure(FailureKind::Disconnected))
    );
}

#[tokio::test(start_paused = true)]
async fn a_buffer_whose_service_failed_is_closed() {
    struct Broken;

    impl Service<()> for Broken {
        type Response = ();
        type Error = BoxError;
        type Future = std::future::Ready<Result<(), BoxError>>;

        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), BoxError>> {
            std::task::Poll::Ready(Err("no endpoints".into()))
        }

        fn call(&mut self, (): ()) -> Self::Future {
            unreachable!("it is never ready")
        }
    }

    let buffer = ServiceBuilder::new().buffer(1).service(Broken);
    assert_eq!(
        kinds(&buffer.oneshot(()).await.unwrap_err()),
        (
            Some(RefusalKind::Closed),
            Class::failure(FailureKind::Unavailable)
        )
    );
}

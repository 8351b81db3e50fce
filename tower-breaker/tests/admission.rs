//! Client-side throttling and admission control around a service.

mod common;

use std::future::pending;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use tokio::time::advance;
use tokio_test::{assert_ready_err, assert_ready_ok, task};
use tower_breaker::BoxError;
use tower_breaker::admission::{Admission, AdmissionLayer, Event, ThrottleLayer};
use tower_breaker::error::Throttled;
use tower_breaker::policy::{AdmissionPolicy, NackAdmission, Throttle};
use tower_classify::{Class, FailureKind};
use tower_layer::Layer;
use tower_service::Service;
use tower_test::mock;
use tower_util::{ServiceExt, service_fn};

use common::OnePermit;

const SECOND: Duration = Duration::from_secs(1);

/// Sends `number` requests. Returns how many were throttled.
async fn send<S>(service: &S, request: &'static str, number: u32) -> u32
where
    S: Service<&'static str, Response = (), Error = BoxError> + Clone,
{
    let mut throttled = 0;
    for _ in 0..number {
        if let Err(error) = service.clone().oneshot(request).await {
            throttled += u32::from(error.is::<Throttled>());
        }
    }
    throttled
}

async fn respond(request: &'static str) -> Result<(), BoxError> {
    match request {
        "ok" => Ok(()),
        "hang" => pending().await,
        _ => Err(request.into()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_accepts_half_receives_everything() {
    let service = ThrottleLayer::default().seed(1).layer(service_fn(respond));
    for _ in 0..500 {
        assert_eq!(send(&service, "ok", 1).await, 0);
        assert_eq!(send(&service, "down", 1).await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_receives_less_and_recovers_with_the_window() {
    let service = ThrottleLayer::default().seed(1).layer(service_fn(respond));
    send(&service, "ok", 100).await;
    // From the 100th failure on, more and more are throttled: about 1 - 200 / n.
    assert_eq!(send(&service, "down", 100).await, 0);
    let throttled = send(&service, "down", 2000).await;
    assert!((1500..1900).contains(&throttled), "{throttled}");
    // The service is well again: after the window nothing is throttled.
    advance(121 * SECOND).await;
    assert_eq!(send(&service, "ok", 100).await, 0);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_rejects_the_same_requests() {
    let run = async |seed| {
        let service = ThrottleLayer::default()
            .seed(seed)
            .layer(service_fn(respond));
        let mut rejected = Vec::new();
        for _ in 0..100 {
            rejected.push(send(&service, "down", 1).await);
        }
        rejected
    };
    assert_eq!(run(7).await, run(7).await);
    assert_ne!(run(7).await, run(8).await);
}

#[tokio::test(start_paused = true)]
async fn admission_control_always_sends_a_part() {
    let received = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&received);
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let service = AdmissionLayer::new(NackAdmission::new())
        .seed(1)
        .on_event(move |event| seen.lock().unwrap().push(*event))
        .layer(service_fn(move |request| {
            count.fetch_add(1, Ordering::Relaxed);
            respond(request)
        }));
    let throttled = send(&service, "down", 10_000).await;
    let received = received.load(Ordering::Relaxed);
    assert_eq!(received + throttled, 10_000);
    assert!((2300..2700).contains(&received), "{received}");
    let events = events.lock().unwrap();
    assert_eq!(events.len(), throttled as usize);
    assert_eq!(events.last(), Some(&Event::Rejected { probability: 0.75 }));
}

#[tokio::test(start_paused = true)]
async fn admission_control_leaves_a_service_with_few_requests_alone() {
    let service = AdmissionLayer::new(NackAdmission::new())
        .seed(1)
        .layer(service_fn(respond));
    for _ in 0..800 {
        assert_eq!(send(&service, "down", 1).await, 0);
        advance(SECOND / 4).await;
    }
    assert!(send(&service, "down", 300).await > 0);
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_cancelled_or_ignored_do_not_count() {
    let ignores = |result: Result<&(), &BoxError>| match result {
        Ok(()) => Class::Success,
        Err(error) if error.to_string() == "ignored" => Class::Ignored,
        Err(_) => Class::failure(FailureKind::Overloaded),
    };
    let service = ThrottleLayer::default()
        .seed(1)
        .classify(ignores)
        .layer(service_fn(respond));
    for _ in 0..100 {
        assert!(service.clone().oneshot("hang").now_or_never().is_none());
    }
    assert_eq!(send(&service, "ignored", 100).await, 0);
    assert!(send(&service, "overloaded", 100).await > 50);
}

#[tokio::test(start_paused = true)]
async fn what_was_reserved_for_a_rejected_request_is_released() {
    /// Rejects everything or nothing.
    #[derive(Clone)]
    struct Always(Arc<AtomicU32>);

    impl AdmissionPolicy for Always {
        fn window(&self) -> Duration {
            SECOND
        }

        fn is_accepted(&self, _: Class) -> Option<bool> {
            None
        }

        fn rejection_probability(&self, _: tower_breaker::policy::Counts) -> f64 {
            f64::from(self.0.load(Ordering::Relaxed))
        }

        fn validate(&self) -> Result<(), tower_breaker::error::InvalidPolicy> {
            Ok(())
        }
    }

    let permit = OnePermit::default();
    let rejects = Arc::new(AtomicU32::new(1));
    let layer = AdmissionLayer::new(Always(Arc::clone(&rejects)));
    let mut service = mock::Spawn::new(layer.layer(permit.clone()));
    assert_ready_ok!(service.poll_ready::<()>());
    assert!(permit.is_held());
    let error = assert_ready_err!(task::spawn(service.call(())).poll());
    let throttled = error.downcast_ref::<Throttled>().unwrap();
    assert_eq!(throttled.probability(), 1.0);
    assert_eq!(throttled.retry_after(), None);
    assert!(!permit.is_held());
    rejects.store(0, Ordering::Relaxed);
    assert_ready_ok!(service.poll_ready::<()>());
    assert_ready_ok!(task::spawn(service.call(())).poll());
}

#[test]
fn a_policy_out_of_range_is_an_error() {
    assert!(ThrottleLayer::try_new(Throttle::new().multiplier(0.0)).is_err());
    let panicked = std::panic::catch_unwind(|| ThrottleLayer::new(Throttle::new().multiplier(0.0)));
    assert!(panicked.is_err());
}

#[tokio::test(start_paused = true)]
async fn clones_share_the_counts() {
    let service: Admission<_, _> = ThrottleLayer::default().seed(1).layer(service_fn(respond));
    let clone = service.clone();
    send(&clone, "down", 100).await;
    assert!(send(&service, "down", 100).await > 80);
}

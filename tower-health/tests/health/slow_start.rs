use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::StreamExt;
use tokio::time::advance;
use tokio_test::assert_ready_ok;
use tower_balance::p2c::Balance;
use tower_balance::picker::{LeastLoaded, Random};
use tower_discover::{Change, channel};
use tower_health::policy::SlowStart;
use tower_health::policy::accrual::AccrualConfig;
use tower_health::{AccrueFailures, ErrorIsFailure, Health, SlowStartDiscover, Standing};
use tower_load::{CompleteOnResponse, Constant, Load, PendingRequests, Weighted};
use tower_service::Service;
use tower_test::mock::Spawn;
use tower_util::{BoxError, ServiceExt, service_fn};

use crate::{SECOND, endpoint};

#[tokio::test(start_paused = true)]
async fn a_new_endpoint_receives_a_tenth_of_its_share_at_first_and_more_with_time() {
    let counts = [AtomicU32::new(0), AtomicU32::new(0)];
    let endpoint = |count| {
        let service = service_fn(move |(): ()| {
            AtomicU32::fetch_add(count, 1, Ordering::Relaxed);
            std::future::ready(Ok::<_, BoxError>(()))
        });
        Constant::new(service, 0)
    };
    let (sender, discover) = channel(8);
    let discover = SlowStartDiscover::new(discover, SlowStart::new(60 * SECOND));
    let mut balance = Spawn::new(Balance::with_picker(discover, Random::new()));
    sender.insert("old", endpoint(&counts[0])).await.unwrap();
    assert_ready_ok!(balance.poll_ready());
    advance(60 * SECOND).await;
    sender.insert("new", endpoint(&counts[1])).await.unwrap();
    for expected in [1.0 / 11.0, 0.5 / 1.5] {
        for _ in 0..10_000 {
            assert_ready_ok!(balance.poll_ready());
            drop(balance.call(()));
        }
        let [old, new] = counts
            .each_ref()
            .map(|count| f64::from(count.swap(0, Ordering::Relaxed)));
        let share = new / (old + new);
        assert!((share - expected).abs() < 0.03, "{share}");
        advance(30 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_healthy_again_starts_slowly_again() {
    let health = Health::new();
    let service = service_fn(|works: bool| {
        std::future::ready(if works {
            Ok(())
        } else {
            Err(BoxError::from("no"))
        })
    });
    let service = Weighted::new(Constant::new(service, 0), 7);
    let (sender, discover) = channel(1);
    let config = AccrualConfig::never().consecutive(1);
    let discover = AccrueFailures::new(discover, config, ErrorIsFailure).unwrap();
    let discover = discover.with_health(health.clone());
    let slow_start = SlowStart::new(60 * SECOND);
    let mut discover = SlowStartDiscover::new(discover, slow_start).with_health(health.clone());
    sender.insert("a", service).await.unwrap();
    let Some(Ok(Change::Insert(_, mut endpoint))) = discover.next().await else {
        panic!("it is there");
    };
    assert_eq!(Load::relative_weight(&endpoint), 70);
    advance(90 * SECOND).await;
    assert_eq!(Load::relative_weight(&endpoint), 700);

    endpoint
        .ready()
        .await
        .unwrap()
        .call(false)
        .await
        .unwrap_err();
    assert_eq!(
        Load::relative_weight(&endpoint),
        700,
        "an ejected endpoint receives nothing anyway"
    );
    // In panic mode, because it is the only endpoint.
    advance(10 * SECOND).await;
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(futures_util::Stream::poll_next(Pin::new(&mut discover), &mut cx).is_pending());
    endpoint.ready().await.unwrap().call(true).await.unwrap();
    assert_eq!(health.standing(&"a").unwrap().0, Standing::Healthy);
    assert_eq!(Load::relative_weight(&endpoint), 70);
    advance(30 * SECOND).await;
    assert_eq!(Load::relative_weight(&endpoint), 350);
}

#[tokio::test(start_paused = true)]
async fn large_weights_are_bounded_and_zero_stays_zero() {
    let (sender, discover) = channel(8);
    for (key, weight) in [("most", u32::MAX), ("none", 0), ("one", 1)] {
        let (inner, _handle) = endpoint(0);
        sender
            .insert(key, Weighted::new(inner, weight))
            .await
            .unwrap();
    }
    let mut discover =
        SlowStartDiscover::new(discover, SlowStart::new(60 * SECOND).least(0.0).unwrap());
    for expected in [u32::MAX, 0, 2] {
        let Some(Ok(Change::Insert(_, endpoint))) = discover.next().await else {
            panic!("there are three");
        };
        assert_eq!(Load::relative_weight(&endpoint), expected);
    }
}

/// An endpoint that was just added has a tenth of its weight, and so receives a tenth of the other's requests.
#[tokio::test(start_paused = true)]
async fn a_new_endpoint_in_slow_start_does_not_receive_half_immediately() {
    for picker in [LeastLoaded::new(), LeastLoaded::of_all()] {
        let (changes, discover) = channel(4);
        let slow_start = SlowStart::new(60 * SECOND);
        let discover = SlowStartDiscover::new(discover, slow_start);
        let mut balance = Balance::builder(discover).pick(picker).seed(1).build();
        let endpoint = |name: &'static str| {
            let service = service_fn(move |()| std::future::ready(Ok::<_, Infallible>(name)));
            PendingRequests::new(service, CompleteOnResponse::default())
        };
        changes.insert("old", endpoint("old")).await.unwrap();
        balance.ready().await.unwrap().call(()).await.unwrap();
        advance(100 * SECOND).await;
        changes.insert("new", endpoint("new")).await.unwrap();
        let mut newcomers = 0;
        for _ in 0..4_000 {
            let answer = balance.ready().await.unwrap().call(()).await.unwrap();
            newcomers += u32::from(answer == "new");
        }
        assert!((300..430).contains(&newcomers), "{newcomers} of 4000");
    }
}

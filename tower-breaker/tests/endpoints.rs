//! A breaker for each endpoint of a balancer.
#![cfg(feature = "discover")]

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use tokio::time::{advance, timeout};
use tower_balance::p2c::Balance;
use tower_breaker::error::Open;
use tower_breaker::policy::{BreakerPolicy, State};
use tower_breaker::{BoxError, BreakEndpoints, Cause, Event, KeyEvent};
use tower_discover::{Change, ServiceList, channel};
use tower_load::{CompleteOnResponse, Load, PendingRequests};
use tower_service::Service;
use tower_util::backoff::{Jitter, Schedule};
use tower_util::{ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

fn policy() -> BreakerPolicy {
    BreakerPolicy::never()
        .consecutive_failures(2)
        .open_time(Schedule::exponential(SECOND, 60 * SECOND).with_jitter(Jitter::None))
}

/// Two endpoints that count their requests, each of which fails while its flag is set.
#[derive(Clone, Default)]
struct World {
    down: [Arc<AtomicBool>; 2],
    received: [Arc<AtomicU32>; 2],
}

impl World {
    fn endpoints(
        &self,
    ) -> [PendingRequests<
        impl Service<(), Response = (), Error = BoxError> + use<>,
        CompleteOnResponse,
    >; 2] {
        [0, 1].map(|index| {
            let (down, received) = (
                Arc::clone(&self.down[index]),
                Arc::clone(&self.received[index]),
            );
            let endpoint = service_fn(move |()| {
                received.fetch_add(1, Ordering::Relaxed);
                let down = down.load(Ordering::Relaxed);
                async move {
                    if down {
                        Err(BoxError::from("down"))
                    } else {
                        Ok(())
                    }
                }
            });
            PendingRequests::new(endpoint, CompleteOnResponse::default())
        })
    }

    fn set_down(&self, down: [bool; 2]) {
        for (flag, down) in self.down.iter().zip(down) {
            flag.store(down, Ordering::Relaxed);
        }
    }

    fn received(&self) -> [u32; 2] {
        self.received
            .each_ref()
            .map(|received| received.swap(0, Ordering::Relaxed))
    }
}

/// Sends requests. Returns how many failed.
async fn send<S>(balance: &mut S, number: u32) -> u32
where
    S: Service<(), Error = BoxError>,
{
    let mut failed = 0;
    for _ in 0..number {
        let result = balance.ready().await.unwrap().call(()).await;
        if let Err(error) = result {
            assert!(!error.is::<Open>(), "rejected instead of skipped");
            failed += 1;
        }
    }
    failed
}

#[tokio::test(start_paused = true)]
async fn the_balancer_skips_an_open_endpoint_and_probes_it() {
    let world = World::default();
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let discover = BreakEndpoints::new(ServiceList::new::<()>(world.endpoints()), policy())
        .seed(1)
        .on_event(move |event: &KeyEvent<usize>| seen.lock().unwrap().push(*event));
    let breakers = discover.breakers();
    let mut balance = Balance::new(discover);

    world.set_down([false, true]);
    assert_eq!(send(&mut balance, 100).await, 2);
    assert_eq!(world.received(), [98, 2]);
    let event = |event| KeyEvent { key: 1, event };
    let opened = |seconds, cause| {
        event(Event::Opened {
            open_for: Some(seconds * SECOND),
            cause,
        })
    };
    let take = || std::mem::take(&mut *events.lock().unwrap());
    assert_eq!(take(), [opened(1, Cause::ConsecutiveFailures)]);
    assert!(matches!(
        breakers.states()[..],
        [(0, State::Closed), (1, State::Open { .. })]
    ));

    // One probe, which fails.
    advance(SECOND + SECOND / 100).await;
    assert_eq!(send(&mut balance, 100).await, 1);
    assert_eq!(world.received()[1], 1);
    assert_eq!(take(), [event(Event::HalfOpened), opened(2, Cause::Probe)]);

    world.set_down([false, false]);
    advance(2 * SECOND + SECOND / 100).await;
    assert_eq!(send(&mut balance, 100).await, 0);
    assert!(world.received()[1] > 20);
    assert_eq!(take(), [event(Event::HalfOpened), event(Event::Closed)]);
}

#[tokio::test(start_paused = true)]
async fn requests_wait_while_all_endpoints_are_open() {
    let world = World::default();
    let discover = BreakEndpoints::new(ServiceList::new::<()>(world.endpoints()), policy());
    let breakers = discover.breakers();
    let mut balance = Balance::new(discover);
    world.set_down([true, true]);
    assert_eq!(send(&mut balance, 4).await, 4);
    world.set_down([false, false]);
    let began = tokio::time::Instant::now();
    assert_eq!(send(&mut balance, 1).await, 0);
    assert!((SECOND..2 * SECOND).contains(&began.elapsed()));
    // A handle ends the wait at once.
    for (key, _) in breakers.states() {
        breakers.get(&key).unwrap().force_open();
    }
    assert!(timeout(9 * SECOND, balance.ready()).await.is_err());
    breakers.get(&0).unwrap().reset();
    assert!(timeout(SECOND, balance.ready()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_hangs_is_skipped_after_slow_calls_were_cancelled() {
    let endpoints = [false, true].map(|hangs| {
        let endpoint = service_fn(move |()| async move {
            match hangs {
                true => pending().await,
                false => Ok::<_, BoxError>(()),
            }
        });
        PendingRequests::new(endpoint, CompleteOnResponse::default())
    });
    let policy = BreakerPolicy::never()
        .slow_calls(0.5, SECOND)
        .window(60 * SECOND, 2);
    let mut balance = Balance::new(BreakEndpoints::new(
        ServiceList::new::<()>(endpoints),
        policy,
    ));
    let mut hung = 0;
    for _ in 0..100 {
        let response = balance.ready().await.unwrap().call(());
        hung += u32::from(timeout(SECOND, response).await.is_err());
    }
    assert_eq!(hung, 2);
}

#[tokio::test(start_paused = true)]
async fn a_replaced_endpoint_shares_its_breaker_and_a_new_one_does_not() {
    let (changes, discover) = channel(8);
    let mut discover = BreakEndpoints::new(discover, policy());
    let breakers = discover.breakers();
    let service = || service_fn(async |()| Ok::<_, BoxError>(()));
    changes.insert("a", service()).await.unwrap();
    assert!(matches!(
        discover.next().await,
        Some(Ok(Change::Insert("a", _)))
    ));
    breakers.get(&"a").unwrap().force_open();
    changes.insert("a", service()).await.unwrap();
    let Some(Ok(Change::Insert("a", replaced))) = discover.next().await else {
        panic!("inserted again");
    };
    assert_eq!(replaced.breaker().state(), State::ForcedOpen);
    changes.remove("a").await.unwrap();
    assert!(matches!(
        discover.next().await,
        Some(Ok(Change::Remove("a")))
    ));
    assert!(breakers.get(&"a").is_none());
    changes.insert("a", service()).await.unwrap();
    assert!(discover.next().await.is_some());
    assert_eq!(breakers.states(), [("a", State::Closed)]);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_has_the_load_of_its_service() {
    let world = World::default();
    let [first, _] = world.endpoints();
    let service = tower_breaker::CircuitBreaker::new(first, policy());
    assert_eq!(service.load(), service.get_ref().load());
}

#[test]
fn a_policy_out_of_range_is_an_error() {
    let endpoints = ServiceList::new::<()>([service_fn(async |()| Ok::<_, BoxError>(()))]);
    assert!(BreakEndpoints::try_new(endpoints, policy().probes(0, 0)).is_err());
}

use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready_ok};
use tower_balance::p2c::Balance;
use tower_discover::channel;
use tower_health::policy::accrual::AccrualConfig;
use tower_health::{
    AccrueFailures, EndpointState, EndpointStates, ErrorIsFailure, Health, Observe, Reason,
    Standing,
};
use tower_load::Load;
use tower_test::mock::Spawn;

use crate::{Inner, SECOND, endpoint, send};

fn only(states: &EndpointStates<&'static str>) -> EndpointState<&'static str> {
    let list = states.list();
    assert_eq!(list.len(), 1);
    list.into_iter().next().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_list_has_the_standing_and_the_requests_of_each_endpoint() {
    let states = EndpointStates::new(Health::new());
    states.health().set_panic_threshold(0);
    let (sender, discover) = channel::<&str, Inner>(8);
    let config = AccrualConfig::never().consecutive(2);
    let discover = AccrueFailures::new(discover, config, ErrorIsFailure).unwrap();
    let discover = discover.with_health(states.health().clone());
    let discover = Observe::new(discover, states.clone()).with_load(|inner| inner.load().into());
    let mut balance = Spawn::new(Balance::<_, u32>::new(discover));
    assert_pending!(balance.poll_ready());
    assert_eq!(states.list(), []);

    let (a, mut handle) = endpoint(7);
    sender.insert("a", a).await.unwrap();
    assert_ready_ok!(balance.poll_ready());
    let began = Instant::now();
    let a = only(&states);
    assert_eq!(
        (a.key, a.ready, a.standing, a.since),
        ("a", true, Standing::Healthy, began)
    );
    assert_eq!((a.picked, a.in_flight, a.load), (0, 0, None));

    let running = balance.call(1);
    assert_ready_ok!(balance.poll_ready());
    let another = balance.call(1);
    let a = only(&states);
    assert_eq!((a.picked, a.in_flight, a.load), (2, 2, Some(7.0)));
    drop(running);
    assert_eq!(only(&states).in_flight, 1);
    drop(another);
    while handle.poll_request().is_ready() {}

    advance(SECOND).await;
    for _ in 0..2 {
        send(&mut balance, &mut handle, false).await;
    }
    assert_pending!(balance.poll_ready());
    let a = only(&states);
    let dead = Standing::Ejected(Reason::Dead);
    assert_eq!(
        (a.ready, a.standing, a.since),
        (false, dead, began + SECOND)
    );
    assert_eq!((a.picked, a.in_flight), (4, 0));
    assert_eq!(
        a.standing.to_string(),
        "ejected: marked dead by failure accrual"
    );

    sender.remove("a").await.unwrap();
    assert_pending!(balance.poll_ready());
    assert_eq!(states.list(), []);
}

#[tokio::test(start_paused = true)]
async fn a_new_service_of_an_endpoint_continues_its_counts() {
    let states = EndpointStates::new(Health::new());
    let (sender, discover) = channel::<&str, Inner>(8);
    let mut balance = Spawn::new(Balance::<_, u32>::new(Observe::new(
        discover,
        states.clone(),
    )));
    for picked in 1..4 {
        let (a, _handle) = endpoint(0);
        sender.insert("a", a).await.unwrap();
        assert_ready_ok!(balance.poll_ready());
        drop(balance.call(1));
        assert_eq!(only(&states).picked, picked);
    }
}

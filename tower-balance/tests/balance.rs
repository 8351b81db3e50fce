//! Which endpoints receive the requests.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok};
use tower_balance::error;
use tower_balance::p2c::{Balance, MakeBalance, MakeBalanceLayer};
use tower_discover::{Change, ServiceList, channel};
use tower_load::{CompleteOnResponse, Constant, PendingRequests};
use tower_service::Service;
use tower_test::mock::{self, Handle, Mock, Spawn};
use tower_util::{ServiceExt, Tried, service_fn};

type Inner = Constant<Mock<u32, u32>, u32>;
type Requests = Handle<u32, u32>;

fn endpoint(load: u32, allowed: u64) -> (Inner, Requests) {
    let (service, mut handle) = mock::pair();
    handle.allow(allowed);
    (Constant::new(service, load), handle)
}

#[test]
fn the_less_loaded_of_two_ready_endpoints_receives_the_request() {
    let ((light, mut light_handle), (heavy, mut heavy_handle)) = (endpoint(1, 9), endpoint(2, 9));
    let mut balance = Spawn::new(Balance::new(ServiceList::new::<u32>([heavy, light])));
    for n in 0..9 {
        assert_ready_ok!(balance.poll_ready());
        drop(balance.call(n));
        assert_eq!(assert_ready!(light_handle.poll_request()).unwrap().0, n);
    }
    // The less loaded one has used up its permits.
    assert_ready_ok!(balance.poll_ready());
    drop(balance.call(9));
    assert!(heavy_handle.poll_request().is_ready());
}

#[test]
fn waits_until_an_endpoint_is_ready() {
    let (inner, mut handle) = endpoint(1, 0);
    let mut balance = Spawn::new(Balance::new(ServiceList::new::<u32>([inner])));
    assert_pending!(balance.poll_ready());
    handle.allow(1);
    assert!(balance.is_woken());
    assert_ready_ok!(balance.poll_ready());
}

#[test]
fn an_endpoint_that_is_not_ready_receives_no_requests_while_another_is() {
    let ((dead, mut dead_handle), (alive, mut alive_handle)) = (endpoint(0, 0), endpoint(9, 99));
    let mut balance = Spawn::new(Balance::new(ServiceList::new::<u32>([dead, alive])));
    for n in 0..20 {
        assert_ready_ok!(balance.poll_ready());
        drop(balance.call(n));
        assert!(alive_handle.poll_request().is_ready());
    }
    assert_pending!(dead_handle.poll_request());
    dead_handle.allow(1);
    assert!(balance.is_woken(), "it is driven although others are ready");
}

#[test]
fn a_failed_endpoint_is_dropped() {
    let ((broken, mut broken_handle), (fine, _fine_handle)) = (endpoint(0, 0), endpoint(9, 9));
    broken_handle.send_error("broken");
    let mut balance = Spawn::new(Balance::new(ServiceList::new::<u32>([broken, fine])));
    assert_ready_ok!(balance.poll_ready());
    assert_eq!(balance.get_ref().len(), 1);
}

/// tower#856: tower 0.5 calls the endpoint that now has the index of the removed one, ready or not.
#[tokio::test]
async fn a_removal_between_polls_leaves_no_stale_pick() {
    let (sender, discover) = channel::<&str, Inner>(8);
    let mut balance = Spawn::new(Balance::new(discover));
    let mut handles = Vec::new();
    for (key, load) in [("a", 0), ("b", 1), ("c", 2)] {
        let (inner, handle) = endpoint(load, 1);
        sender.send(Change::Insert(key, inner)).await.unwrap();
        handles.push(handle);
    }
    assert_ready_ok!(balance.poll_ready());
    for key in ["a", "b"] {
        sender.send(Change::Remove(key)).await.unwrap();
    }
    assert_ready_ok!(balance.poll_ready());
    drop(balance.call(7));
    let [mut a, mut b, mut c] = <[Requests; 3]>::try_from(handles).unwrap();
    assert!(assert_ready!(a.poll_request()).is_none() && assert_ready!(b.poll_request()).is_none());
    assert_eq!(assert_ready!(c.poll_request()).unwrap().0, 7);
}

/// C10: in tower 0.5 the balancer is pending, and the task is never woken.
#[test]
fn fails_if_there_are_no_endpoints_and_discovery_has_ended() {
    let mut balance = Spawn::new(Balance::new(ServiceList::new::<u32>(Vec::<Inner>::new())));
    assert!(assert_ready_err!(balance.poll_ready()).is::<error::NoEndpoints>());

    let (inner, mut handle) = endpoint(1, 9);
    let mut balance = Spawn::new(Balance::new(ServiceList::new::<u32>([inner])));
    assert_ready_ok!(balance.poll_ready());
    handle.send_error("broken");
    assert!(assert_ready_err!(balance.poll_ready()).is::<error::NoEndpoints>());
}

#[tokio::test]
async fn without_endpoints_it_waits_for_discovery() {
    let (sender, discover) = channel::<&str, Inner>(8);
    let mut balance = Spawn::new(Balance::new(discover));
    assert_pending!(balance.poll_ready());
    let (inner, _handle) = endpoint(1, 1);
    sender.send(Change::Insert("a", inner)).await.unwrap();
    assert!(balance.is_woken());
    assert_ready_ok!(balance.poll_ready());
    sender.send(Change::Remove("a")).await.unwrap();
    assert_pending!(balance.poll_ready());
    assert!(balance.get_ref().is_empty());
}

/// Yields its endpoints, then ends, and must not be polled again.
struct Once(Vec<Result<Change<u32, Inner>, &'static str>>, bool);

impl futures_util::Stream for Once {
    type Item = Result<Change<u32, Inner>, &'static str>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        assert!(!self.1, "polled after its end");
        let next = self.0.pop();
        self.1 = next.is_none();
        Poll::Ready(next)
    }
}

#[test]
fn a_discovery_that_arranges_no_wake_up_is_polled_with_some_of_the_requests() {
    let (inner, _handle) = endpoint(1, 1);
    let (mut inner, mut polls) = (Some(inner), 0);
    let discover = futures::stream::poll_fn(move |_cx| {
        polls += 1;
        match inner.take_if(|_| polls == 2) {
            Some(inner) => Poll::Ready(Some(Ok::<_, Infallible>(Change::Insert(0, inner)))),
            None => Poll::Pending,
        }
    });
    let mut balance = Spawn::new(Balance::new(discover));
    assert_pending!(balance.poll_ready());
    assert!((0..32).any(|_| balance.poll_ready().is_ready()));
}

/// C11: tower 0.5 polls the stream again.
#[test]
fn discovery_that_has_ended_is_not_polled_again() {
    let (inner, _handle) = endpoint(1, 9);
    let mut balance = Spawn::new(Balance::new(Once(
        vec![Ok(Change::Insert(1, inner))],
        false,
    )));
    for _ in 0..3 {
        assert_ready_ok!(balance.poll_ready());
        drop(balance.call(1));
    }
}

#[test]
fn an_error_of_discovery_is_the_source_of_the_error() {
    let mut balance = Spawn::new(Balance::new(Once(vec![Err("no such name")], false)));
    let error = assert_ready_err!(balance.poll_ready());
    let source =
        std::error::Error::source(error.downcast_ref::<error::Discover>().unwrap()).unwrap();
    assert_eq!(source.to_string(), "no such name");
}

#[test]
fn yields_to_other_tasks_after_many_changes() {
    let changes = (0..1000)
        .map(|key| Ok(Change::Insert(key, endpoint(1, 9).0)))
        .collect();
    let mut balance = Spawn::new(Balance::new(Once(changes, false)));
    let _ = balance.poll_ready();
    assert!(balance.get_ref().len() < 1000 && balance.is_woken());
}

#[test]
#[should_panic(expected = "poll_ready must be called first")]
fn panics_if_called_before_it_is_ready() {
    let (inner, _handle) = endpoint(1, 1);
    let _response = Balance::new(ServiceList::new::<u32>([inner])).call(1);
}

#[tokio::test]
async fn make_balance_creates_balancers() {
    async fn discover(replicas: u32) -> Result<ServiceList<Vec<Endpoint>>, Infallible> {
        let endpoint = || {
            PendingRequests::new(
                service_fn(echo as fn(u32) -> _),
                CompleteOnResponse::default(),
            )
        };
        Ok(ServiceList::new::<u32>(
            (0..replicas).map(|_| endpoint()).collect(),
        ))
    }
    type Endpoint =
        PendingRequests<tower_util::ServiceFn<fn(u32) -> Ready<Result<u32, Infallible>>>>;
    fn echo(n: u32) -> Ready<Result<u32, Infallible>> {
        ready(Ok(n))
    }
    let make: MakeBalance<_, u32> =
        tower_layer::Layer::layer(&MakeBalanceLayer::new(), service_fn(discover));
    let balance = make.oneshot(3).await.unwrap();
    assert_eq!(balance.oneshot(7).await.unwrap(), 7);
}

#[tokio::test]
async fn a_retry_goes_to_another_endpoint() {
    let endpoints = (0..5).map(|name| {
        let endpoint = service_fn(move |_: Tried| async move { Ok::<_, Infallible>(name) });
        Constant::new(endpoint, name)
    });
    let list = ServiceList::new::<Tried>(endpoints.collect::<Vec<_>>());
    let mut balance = Balance::new(list).avoid_tried(|request: &Tried| Some(request));
    for _ in 0..100 {
        let request = Tried::new();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..5 {
            let response = balance.ready().await.unwrap().call(request.clone());
            assert!(
                seen.insert(response.await.unwrap()),
                "it was sent there before"
            );
        }
        assert_eq!(request.len(), 5);
        // All were tried, so any of them is picked.
        let response = balance.ready().await.unwrap().call(request.clone());
        assert!(response.await.unwrap() < 5);
    }
}

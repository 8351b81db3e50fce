//! The sources of endpoints in this crate.
#![cfg(feature = "channel")]

use std::error::Error;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use futures::{Stream, StreamExt};
use tokio_test::{assert_pending, assert_ready, task};
use tower_discover::error::Closed;
use tower_discover::{Change, Discover, Sender, ServiceList, channel};
use tower_service::Service;

struct Unit;

impl Service<()> for Unit {
    type Response = ();
    type Error = ();
    type Future = Ready<Result<(), ()>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}

fn is_discover<D: Discover<Key = K>, K>(source: D) -> D {
    source
}

#[tokio::test]
async fn a_list_yields_each_service_once_and_ends() {
    let list = is_discover::<_, usize>(ServiceList::new::<()>(vec![Unit, Unit, Unit]));
    assert_eq!(list.size_hint(), (3, Some(3)));
    let changes: Vec<_> = list.collect().await;
    for (place, change) in changes.iter().enumerate() {
        assert!(matches!(change, Ok(Change::Insert(key, Unit)) if *key == place));
    }
    assert_eq!(changes.len(), 3);
}

#[tokio::test]
async fn an_empty_list_ends_at_once() {
    let mut list = ServiceList::new::<()>(Vec::<Unit>::new());
    assert!(list.next().await.is_none());
}

#[test]
fn a_channel_wakes_the_receiver_and_ends_with_its_last_sender() {
    let (sender, discover) = channel::<&str, u32>(4);
    let mut discover = task::spawn(is_discover::<_, &str>(discover));
    assert_pending!(discover.poll_next());
    let other = sender.clone();
    assert_ready!(task::spawn(other.insert("a", 1)).poll()).unwrap();
    assert!(discover.is_woken());
    assert!(matches!(
        assert_ready!(discover.poll_next()),
        Some(Ok(Change::Insert("a", 1)))
    ));

    drop(sender);
    assert_pending!(discover.poll_next());
    drop(other);
    assert!(discover.is_woken());
    assert!(assert_ready!(discover.poll_next()).is_none());
}

#[test]
fn a_full_channel_makes_the_sender_wait() {
    let (sender, discover) = channel::<&str, u32>(1);
    let mut discover = task::spawn(discover);
    assert_ready!(task::spawn(sender.insert("a", 1)).poll()).unwrap();
    let mut waiting = task::spawn(sender.remove("a"));
    assert_pending!(waiting.poll());
    assert!(assert_ready!(discover.poll_next()).is_some());
    assert!(waiting.is_woken());
    assert_ready!(waiting.poll()).unwrap();
    assert!(matches!(
        assert_ready!(discover.poll_next()),
        Some(Ok(Change::Remove("a")))
    ));
}

#[tokio::test]
async fn a_sender_gets_its_change_back_if_the_receiver_was_dropped() {
    let (sender, discover) = channel::<&str, u32>(1);
    drop(discover);
    sender.closed().await;
    let closed = sender.insert("a", 1).await.unwrap_err();
    assert_eq!(
        closed.to_string(),
        "the receiver of endpoint changes was dropped"
    );
    assert!(matches!(closed.into_inner(), Change::Insert("a", 1)));
}

/// Neither `Debug` nor `Sync`, like most services.
struct Plain(std::cell::Cell<u32>);

#[tokio::test]
async fn a_closed_channel_is_an_error_for_any_service() {
    async fn feed(sender: Sender<&'static str, Plain>) -> Result<(), Box<dyn Error + Send + Sync>> {
        sender.insert("a", Plain(std::cell::Cell::new(7))).await?;
        Ok(())
    }
    let (sender, discover) = channel(4);
    drop(discover);
    let error = feed(sender.clone()).await.unwrap_err();
    assert!(error.is::<Closed<&str, Plain>>());
    assert_eq!(format!("{error:?}"), "Closed { .. }");
    let closed = error.downcast::<Closed<&'static str, Plain>>().unwrap();
    let Change::Insert("a", service) = closed.into_inner() else {
        panic!("it is what was sent");
    };
    assert_eq!(service.0.get(), 7);
    sender.remove("a").await.unwrap_err();
}

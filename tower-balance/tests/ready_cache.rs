//! The documented behaviour of the cache, and a comparison with a model.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower_balance::ready_cache::ReadyCache;
use tower_test::mock::{self, Handle, Mock};

type Inner = Mock<u32, u32>;
type Cache = task::Spawn<ReadyCache<&'static str, Inner, u32>>;

fn cache() -> Cache {
    task::spawn(ReadyCache::default())
}

fn push(cache: &mut Cache, key: &'static str, allowed: u64) -> Handle<u32, u32> {
    let (service, mut handle) = mock::pair();
    handle.allow(allowed);
    cache.push(key, service);
    handle
}

fn poll_pending(
    cache: &mut Cache,
) -> std::task::Poll<Result<(), tower_balance::ready_cache::error::Failed<&'static str>>> {
    cache.enter(|cx, mut cache| cache.poll_pending(cx))
}

#[test]
fn services_become_ready_when_they_are_woken() {
    let mut cache = cache();
    let _a = push(&mut cache, "a", 9);
    let mut b = push(&mut cache, "b", 0);
    assert_eq!(
        (cache.len(), cache.ready_len(), cache.pending_len()),
        (2, 0, 2)
    );
    assert_pending!(poll_pending(&mut cache));
    assert_eq!((cache.ready_len(), cache.pending_len()), (1, 1));
    assert!(cache.get_ready(&"a").is_some() && cache.pending_contains(&"b"));
    b.allow(1);
    assert!(cache.is_woken());
    assert_ready_ok!(poll_pending(&mut cache));
    assert_eq!(cache.ready_len(), 2);
    assert_eq!(
        cache.iter_ready().map(|(key, _)| *key).collect::<Vec<_>>(),
        ["a", "b"]
    );
}

#[test]
fn a_called_service_is_pending_until_it_is_polled() {
    let mut cache = cache();
    let mut a = push(&mut cache, "a", 2);
    assert_ready_ok!(poll_pending(&mut cache));
    assert!(
        cache
            .enter(|cx, mut cache| cache.check_ready(cx, &"a"))
            .unwrap()
    );
    let _response = cache.call_ready(&"a", 7);
    assert_eq!(assert_ready!(a.poll_request()).unwrap().0, 7);
    assert!(cache.pending_contains(&"a"));
    assert_ready_ok!(poll_pending(&mut cache));
    assert!(cache.get_ready_index(0).is_some());
}

#[test]
fn a_failed_service_is_dropped_and_the_others_are_polled() {
    let mut cache = cache();
    let mut a = push(&mut cache, "a", 1);
    let _b = push(&mut cache, "b", 1);
    a.send_error("broken");
    let failed = assert_ready_err!(poll_pending(&mut cache));
    assert_eq!((failed.0, failed.1.to_string().as_str()), ("a", "broken"));
    // A service that is pushed in between is polled too.
    let _c = push(&mut cache, "c", 1);
    assert_ready_ok!(poll_pending(&mut cache));
    assert_eq!(cache.ready_len(), 2);
    assert!(assert_ready!(a.poll_request()).is_none(), "dropped");
}

/// C13: in tower 0.5 the old service is dropped when it is used, although the new one is not ready.
#[test]
fn a_service_is_used_until_its_replacement_is_ready() {
    let mut cache = cache();
    let mut old = push(&mut cache, "a", 9);
    assert_ready_ok!(poll_pending(&mut cache));
    let mut new = push(&mut cache, "a", 0);
    for _ in 0..3 {
        assert_pending!(poll_pending(&mut cache));
        let _response = cache.call_ready(&"a", 1);
        assert!(assert_ready!(old.poll_request()).is_some());
    }
    new.allow(1);
    assert_ready_ok!(poll_pending(&mut cache));
    assert_eq!(cache.len(), 1);
    assert!(assert_ready!(old.poll_request()).is_none(), "dropped");
    let _response = cache.call_ready(&"a", 2);
    assert_eq!(assert_ready!(new.poll_request()).unwrap().0, 2);
}

#[test]
fn a_service_is_kept_if_its_replacement_fails() {
    let mut cache = cache();
    let _old = push(&mut cache, "a", 9);
    assert_ready_ok!(poll_pending(&mut cache));
    let mut new = push(&mut cache, "a", 0);
    assert_pending!(poll_pending(&mut cache));
    new.send_error("refused");
    assert_ready_err!(poll_pending(&mut cache));
    assert!(cache.get_ready(&"a").is_some());
}

#[test]
fn evicting_drops_all_services_with_the_key() {
    let mut cache = cache();
    let mut old = push(&mut cache, "a", 9);
    assert_ready_ok!(poll_pending(&mut cache));
    let mut new = push(&mut cache, "a", 0);
    assert!(cache.evict(&"a"));
    assert!(!cache.evict(&"a"));
    assert!(cache.is_empty());
    assert!(
        assert_ready!(old.poll_request()).is_none() && assert_ready!(new.poll_request()).is_none()
    );
    assert_ready_ok!(poll_pending(&mut cache));
}

#[test]
#[should_panic(expected = "check_ready must be called first")]
fn panics_if_a_service_that_is_not_ready_is_called() {
    let mut cache = cache();
    let _a = push(&mut cache, "a", 0);
    let _response = cache.call_ready(&"a", 1);
}

#[derive(Debug, Clone)]
enum Operation {
    Push(usize),
    Evict(usize),
    Allow(usize, u64),
    Fail(usize),
    Call(usize),
    Poll,
}

fn operation() -> impl Strategy<Value = Operation> {
    let key = 0..KEYS.len();
    prop_oneof![
        key.clone().prop_map(Operation::Push),
        key.clone().prop_map(Operation::Evict),
        (key.clone(), 0_u64..3).prop_map(|(key, n)| Operation::Allow(key, n)),
        key.clone().prop_map(Operation::Fail),
        key.prop_map(Operation::Call),
        Just(Operation::Poll),
    ]
}

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

proptest! {
    /// C28: after any operations, the counts are correct, and every service that can become ready does.
    #[test]
    fn agrees_with_a_model(operations in prop::collection::vec(operation(), 0..200)) {
        let mut cache = cache();
        // The newest handle of each key.
        let mut handles: BTreeMap<&str, Handle<u32, u32>> = BTreeMap::new();
        for operation in operations {
            match operation {
                Operation::Push(key) => {
                    handles.insert(KEYS[key], push(&mut cache, KEYS[key], 1));
                }
                Operation::Evict(key) => {
                    cache.evict(&KEYS[key]);
                    handles.remove(KEYS[key]);
                }
                Operation::Allow(key, n) => {
                    if let Some(handle) = handles.get_mut(KEYS[key]) {
                        handle.allow(n);
                    }
                }
                Operation::Fail(key) => {
                    if let Some(handle) = handles.get_mut(KEYS[key]) {
                        handle.send_error("failed by the test");
                    }
                }
                Operation::Call(key) => {
                    if let Ok(true) = cache.enter(|cx, mut cache| cache.check_ready(cx, &KEYS[key])) {
                        drop(cache.call_ready(&KEYS[key], 1));
                    }
                }
                Operation::Poll => while poll_pending(&mut cache).is_ready_err() {},
            }
            prop_assert_eq!(cache.len(), cache.ready_len() + cache.pending_len());
            prop_assert_eq!(cache.iter_ready().count(), cache.ready_len());
            for index in 0..cache.ready_len() {
                let key = *cache.get_ready_index(index).unwrap().0;
                prop_assert_eq!(cache.get_ready(&key).unwrap().0, index);
            }
        }
        handles.values_mut().for_each(|handle| handle.allow(9));
        while poll_pending(&mut cache).is_ready_err() {}
        for key in KEYS {
            // Every remaining key with a live handle is ready, if it has not failed.
            if cache.pending_contains(&key) {
                prop_assert!(!handles.contains_key(key), "{} is not ready", key);
            }
        }
    }
}

trait IsReadyErr {
    fn is_ready_err(&self) -> bool;
}

impl<T, E> IsReadyErr for std::task::Poll<Result<T, E>> {
    fn is_ready_err(&self) -> bool {
        matches!(self, Self::Ready(Err(_)))
    }
}

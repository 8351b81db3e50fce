//! Counting the events of layers with the crate `metrics`.
#![cfg(all(feature = "full", feature = "metrics"))]

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use tower::hedge;
use tower::observe::EventCounter;

/// Keeps the counters by the text of their keys.
#[derive(Default)]
struct Counters(Mutex<Vec<(String, Arc<AtomicU64>)>>);

impl Counters {
    fn values(&self) -> Vec<(String, u64)> {
        let counters = self.0.lock().unwrap();
        let value = |(key, count): &(String, Arc<AtomicU64>)| (key.clone(), count.load(Relaxed));
        counters.iter().map(value).collect()
    }
}

impl Recorder for Counters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let (key, mut counters) = (key.to_string(), self.0.lock().unwrap());
        if !counters.iter().any(|(known, _)| *known == key) {
            counters.push((key.clone(), Arc::default()));
        }
        let found = counters.iter().find(|(known, _)| *known == key);
        Counter::from_arc(Arc::clone(&found.unwrap().1))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        unreachable!("events are counted")
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        unreachable!("events are counted")
    }
}

#[test]
fn counts_each_kind_of_event_under_its_name_and_service() {
    let recorder = Counters::default();
    let events = EventCounter::new("users");
    metrics::with_local_recorder(&recorder, || {
        let observer = events.observer();
        observer(&hedge::Event::Sent { attempt: 2 });
        observer(&hedge::Event::Sent { attempt: 3 });
        events.clone().count(&hedge::Event::NoBudget);
    });
    let name = |kind| format!("Key(tower_hedge_{kind}_total, [service = users])");
    let expected = vec![(name("sent"), 2), (name("no_budget"), 1)];
    assert_eq!(recorder.values(), expected);
}

//! Counting the events of layers.
//!
//! Each layer that drops, delays, repeats or rejects requests passes its events to the closure of its `on_event`
//! (`on_attempt` of a retry policy, `on_change` of endpoint health). Each has its own type of event, with the
//! details; [`LayerEvent`] names them all alike.
//!
//! `EventCounter`, behind the feature `metrics`, counts them with the crate [`metrics`](https://docs.rs/metrics), whose
//! exporters write to Prometheus and others.

#[doc(inline)]
pub use tower_readiness::LayerEvent;

#[cfg(feature = "metrics")]
pub use self::counter::EventCounter;

#[cfg(feature = "metrics")]
mod counter {
    use std::borrow::Cow;
    use std::sync::{Arc, Mutex};

    use metrics::{Key, Label, Level, Metadata};
    use tower_readiness::{LayerEvent, ignore_poison};

    /// Counts the events of layers with the recorder of [`metrics`], as `tower_LAYER_KIND_total` with the label `service`.
    ///
    /// One counter can serve all layers of a stack. Clones share what they know.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "full")]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower::BoxError;
    /// use tower::hedge::HedgeLayer;
    /// use tower::observe::EventCounter;
    /// use tower::retry::RetryPolicy;
    ///
    /// // Install a recorder before the first event, for instance that of `metrics-exporter-prometheus`.
    /// let events = EventCounter::new("users");
    /// let hedge = HedgeLayer::builder()
    ///     .when(|_: &u32| true)
    ///     .on_event(events.observer())
    ///     .build()?;
    /// let retry = RetryPolicy::builder()
    ///     .on_attempt(events.observer())
    ///     .retry_if(|_: &u32, result: Result<&u32, &BoxError>| result.is_err())
    ///     .build();
    /// # let _ = (hedge, retry);
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "full"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Cost
    ///
    /// The first event of each kind allocates the name of its metric. Each event takes a short lock, and what the recorder takes.
    #[derive(Clone, Debug)]
    pub struct EventCounter {
        service: Cow<'static, str>,
        /// By the layer and the kind, of which there are few.
        keys: Arc<Mutex<Vec<Known>>>,
    }

    #[derive(Debug)]
    struct Known {
        layer: &'static str,
        kind: &'static str,
        key: Key,
    }

    impl EventCounter {
        /// Creates a counter whose metrics have the label `service`.
        pub fn new(service: impl Into<Cow<'static, str>>) -> Self {
            Self {
                service: service.into(),
                keys: Arc::default(),
            }
        }

        /// Counts an event.
        pub fn count<E: LayerEvent>(&self, event: &E) {
            let key = self.key(E::LAYER, event.kind());
            metrics::with_recorder(|recorder| recorder.register_counter(&key, &METADATA))
                .increment(1);
        }

        /// Returns a closure that counts, for the `on_event` of a layer.
        pub fn observer<E: LayerEvent>(&self) -> impl Fn(&E) + Send + Sync + 'static + use<E> {
            let counter = self.clone();
            move |event| counter.count(event)
        }

        fn key(&self, layer: &'static str, kind: &'static str) -> Key {
            let mut keys = ignore_poison(self.keys.lock());
            let known = keys.iter().find(|it| it.layer == layer && it.kind == kind);
            if let Some(known) = known {
                return known.key.clone();
            }
            let labels = vec![Label::new("service", self.service.clone())];
            let key = Key::from_parts(format!("tower_{layer}_{kind}_total"), labels);
            keys.push(Known {
                layer,
                kind,
                key: key.clone(),
            });
            key
        }
    }

    static METADATA: Metadata<'static> =
        Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
}

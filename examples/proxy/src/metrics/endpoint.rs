//! The metrics of clusters and their endpoints.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The metrics of the endpoints of one cluster.
#[derive(Debug)]
pub struct ClusterStats {
    /// The name of the cluster.
    pub name: String,
    /// The endpoints in the order of the configuration.
    pub endpoints: Vec<Arc<EndpointStats>>,
}

impl ClusterStats {
    /// Returns whether any endpoint is ready.
    pub fn is_ready(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.is_ready())
    }
}

/// The metrics of one endpoint.
#[derive(Debug)]
pub struct EndpointStats {
    /// The address of the endpoint.
    pub endpoint: String,
    ready: AtomicBool,
    gauge: Gauge,
    ejected: Gauge,
    /// The number of attempts sent to the endpoint.
    pub requests: Counter,
    /// The number of attempts that failed without a response.
    pub failures: Counter,
    by_class: [Counter; 5],
    /// Why the last attempt to connect failed.
    last_error: Mutex<Option<String>>,
}

impl EndpointStats {
    /// Returns whether the endpoint is ready for requests.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Returns whether the endpoint is ejected because of its failures.
    pub fn is_ejected(&self) -> bool {
        self.ejected.get() > 0
    }

    /// Sets whether the endpoint is ejected.
    pub fn set_ejected(&self, ejected: bool) {
        self.ejected.set(i64::from(ejected));
    }

    /// Sets whether the endpoint is ready for requests.
    pub fn set_ready(&self, ready: bool) {
        // Most calls change nothing, and only read.
        let changes = self.ready.load(Ordering::Relaxed) != ready;
        if changes && self.ready.swap(ready, Ordering::Relaxed) != ready {
            self.gauge.set(i64::from(ready));
            tracing::info!(endpoint = %self.endpoint, ready, "endpoint changed");
        }
    }

    /// Counts a response with this status.
    pub fn answered(&self, status: StatusCode) {
        self.by_class[super::route::class_of(status)].inc();
    }

    /// Returns the number of responses by class of their status: 1xx first.
    pub fn responses(&self) -> [u64; 5] {
        std::array::from_fn(|class| self.by_class[class].get())
    }

    /// Sets why the last attempt to connect failed, or `None` if it succeeded.
    pub fn set_last_error(&self, error: Option<String>) {
        *self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = error;
    }

    /// Returns why the last attempt to connect failed, or `None` if it succeeded.
    pub fn last_error(&self) -> Option<String> {
        let last = self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    cluster: String,
    endpoint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    cluster: String,
    endpoint: String,
    class: &'static str,
}

/// The metric families of endpoints.
#[derive(Debug, Default)]
pub(super) struct EndpointFamilies {
    ready: Family<EndpointLabels, Gauge>,
    ejected: Family<EndpointLabels, Gauge>,
    attempts: Family<EndpointLabels, Counter>,
    failures: Family<EndpointLabels, Counter>,
    responses: Family<AnswerLabels, Counter>,
}

impl EndpointFamilies {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let families = Self::default();
        registry.register(
            "endpoint_ready",
            "1 if the endpoint is ready for requests, else 0",
            families.ready.clone(),
        );
        registry.register(
            "endpoint_ejected",
            "1 if the endpoint is ejected because of its failures, else 0",
            families.ejected.clone(),
        );
        registry.register(
            "endpoint_requests",
            "Attempts sent to the endpoint",
            families.attempts.clone(),
        );
        registry.register(
            "endpoint_failures",
            "Attempts that failed without a response of the endpoint",
            families.failures.clone(),
        );
        registry.register(
            "endpoint_responses",
            "Responses of the endpoint, by class of their status",
            families.responses.clone(),
        );
        families
    }

    pub(super) fn of(&self, cluster: &str, endpoint: String) -> Arc<EndpointStats> {
        let labels = EndpointLabels {
            cluster: cluster.to_owned(),
            endpoint,
        };
        let by_class = super::CLASSES.map(|class| {
            self.responses.get_or_create_owned(&AnswerLabels {
                cluster: labels.cluster.clone(),
                endpoint: labels.endpoint.clone(),
                class,
            })
        });
        Arc::new(EndpointStats {
            ready: AtomicBool::new(false),
            gauge: self.ready.get_or_create_owned(&labels),
            ejected: self.ejected.get_or_create_owned(&labels),
            requests: self.attempts.get_or_create_owned(&labels),
            failures: self.failures.get_or_create_owned(&labels),
            by_class,
            last_error: Mutex::default(),
            endpoint: labels.endpoint,
        })
    }
}

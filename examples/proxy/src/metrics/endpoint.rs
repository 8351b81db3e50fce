//! The metrics of clusters and their endpoints.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::status::{CLASSES, class_of};

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
    failed_responses: [Counter; ResponseFailure::ALL.len()],
    /// Why the last attempt to connect failed.
    last_error: Mutex<Option<String>>,
}

/// What a response that is a failure of its endpoint says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseFailure {
    /// The endpoint failed, and would fail again.
    Internal,
    /// The endpoint cannot process requests at present.
    Unavailable,
    /// The endpoint, or one behind it, did not respond in time.
    Timeout,
    /// The endpoint rejects excess load.
    Overloaded,
}

impl ResponseFailure {
    const ALL: [Self; 4] = [
        Self::Internal,
        Self::Unavailable,
        Self::Timeout,
        Self::Overloaded,
    ];

    /// Returns its name in the metrics.
    const fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Overloaded => "overloaded",
        }
    }
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
        self.by_class[class_of(status)].inc();
    }

    /// Returns the number of responses by class of their status: 1xx first.
    pub fn responses(&self) -> [u64; 5] {
        std::array::from_fn(|class| self.by_class[class].get())
    }

    /// Counts a response that is a failure, by its status or its gRPC status.
    pub fn response_failed(&self, failure: ResponseFailure) {
        self.failed_responses[failure as usize].inc();
    }

    /// Returns the number of responses that are failures, of all kinds.
    pub fn failed_responses(&self) -> u64 {
        self.failed_responses.iter().map(Counter::get).sum()
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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailedResponseLabels {
    cluster: String,
    endpoint: String,
    kind: &'static str,
}

/// The metric families of endpoints.
#[derive(Debug, Default)]
pub(super) struct EndpointFamilies {
    ready: Family<EndpointLabels, Gauge>,
    ejected: Family<EndpointLabels, Gauge>,
    attempts: Family<EndpointLabels, Counter>,
    failures: Family<EndpointLabels, Counter>,
    responses: Family<AnswerLabels, Counter>,
    failed_responses: Family<FailedResponseLabels, Counter>,
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
        registry.register(
            "endpoint_failed_responses",
            "Responses of the endpoint that are failures, by HTTP or gRPC status (also in trailers), by kind",
            families.failed_responses.clone(),
        );
        families
    }

    pub(super) fn of(&self, cluster: &str, endpoint: String) -> Arc<EndpointStats> {
        let labels = EndpointLabels {
            cluster: cluster.to_owned(),
            endpoint,
        };
        let by_class = CLASSES.map(|class| {
            self.responses.get_or_create_owned(&AnswerLabels {
                cluster: labels.cluster.clone(),
                endpoint: labels.endpoint.clone(),
                class,
            })
        });
        let failed_responses = ResponseFailure::ALL.map(|failure| {
            self.failed_responses
                .get_or_create_owned(&FailedResponseLabels {
                    cluster: labels.cluster.clone(),
                    endpoint: labels.endpoint.clone(),
                    kind: failure.name(),
                })
        });
        Arc::new(EndpointStats {
            ready: AtomicBool::new(false),
            gauge: self.ready.get_or_create_owned(&labels),
            ejected: self.ejected.get_or_create_owned(&labels),
            requests: self.attempts.get_or_create_owned(&labels),
            failures: self.failures.get_or_create_owned(&labels),
            by_class,
            failed_responses,
            last_error: Mutex::default(),
            endpoint: labels.endpoint,
        })
    }
}

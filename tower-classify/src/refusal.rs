use std::time::Duration;
use std::{error, fmt};

use crate::{Class, Failure, FailureKind, Pushback};

/// Describes an error that a layer has returned itself, instead of the service: the reason, and when to retry.
///
/// `tower::classify::refusal` returns it for the errors of all layers of this family. A layer of your own can return a
/// `Refusal` as its error, or as the [source](error::Error::source) of its error: it is found there, and
/// [`ErrorChain`](crate::ErrorChain) classifies it. With the feature `http` it has the HTTP status and the gRPC code for a
/// response.
///
/// ```
/// use std::time::Duration;
/// use tower_classify::{Refusal, RefusalKind};
///
/// let refusal = Refusal::new(RefusalKind::RateLimited).with_retry_after(Duration::from_secs(2));
/// assert_eq!(refusal.retry_after(), Some(Duration::from_secs(2)));
/// # #[cfg(feature = "http")] {
/// assert_eq!(refusal.status(), http::StatusCode::TOO_MANY_REQUESTS);
/// assert_eq!(refusal.grpc_code(), tower_classify::http::Code::ResourceExhausted);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    kind: RefusalKind,
    retry_after: Option<Duration>,
}

/// The reason for a refusal, which identifies the kind of layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalKind {
    /// The request took longer than its timeout.
    Elapsed,
    /// The deadline of the request has passed.
    DeadlineExceeded,
    /// The maximum number of requests is in flight or queued.
    Overloaded,
    /// The maximum number of requests of this period was sent.
    RateLimited,
    /// A circuit breaker is open.
    BreakerOpen,
    /// The service rejects so much that a share of the requests is not sent to it.
    Throttled,
    /// A budget, such as that of retries, is exhausted.
    BudgetExhausted,
    /// There are no endpoints, or none is ready.
    NoEndpoints,
    /// The service was not ready for too long.
    FailFast,
    /// The task that runs the service has ended.
    Closed,
}

impl Refusal {
    /// Creates a refusal without a time to retry.
    pub const fn new(kind: RefusalKind) -> Self {
        Self {
            kind,
            retry_after: None,
        }
    }

    /// Sets the time after which a request may succeed.
    #[must_use]
    pub const fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Returns the reason for the refusal.
    pub const fn kind(&self) -> RefusalKind {
        self.kind
    }

    /// Returns the time after which a request may succeed, for a header `retry-after` or `grpc-retry-pushback-ms`;
    /// `None` if it is not known.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns what this refusal means to the layers above the one that returned it:
    ///
    /// | kind | class |
    /// |---|---|
    /// | `Elapsed` | a `Timeout` |
    /// | `DeadlineExceeded` | ignored, because the request has no time left |
    /// | `Overloaded`, `RateLimited`, `BudgetExhausted` | `Overloaded`, with [`retry_after`](Self::retry_after) as pushback |
    /// | `Throttled` | `Overloaded`, and not transient: another attempt adds to the overload |
    /// | any other | `Unavailable`, with [`retry_after`](Self::retry_after) as pushback |
    pub fn class(&self) -> Class {
        let kind = match self.kind {
            RefusalKind::DeadlineExceeded => return Class::Ignored,
            RefusalKind::Elapsed => FailureKind::Timeout,
            RefusalKind::Overloaded
            | RefusalKind::RateLimited
            | RefusalKind::BudgetExhausted
            | RefusalKind::Throttled => FailureKind::Overloaded,
            _ => FailureKind::Unavailable,
        };
        let pushback = self.retry_after.map(Pushback::After);
        let is_transient = self.kind != RefusalKind::Throttled;
        Failure::new(kind)
            .transient(is_transient)
            .with_pushback(pushback)
            .into()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            RefusalKind::Elapsed => "the timeout elapsed",
            RefusalKind::DeadlineExceeded => "the deadline has passed",
            RefusalKind::Overloaded => "too many requests in flight",
            RefusalKind::RateLimited => "too many requests in this period",
            RefusalKind::BreakerOpen => "the circuit breaker is open",
            RefusalKind::Throttled => "the service rejects too many requests",
            RefusalKind::BudgetExhausted => "the budget is exhausted",
            RefusalKind::NoEndpoints => "no endpoint is available",
            RefusalKind::FailFast => "the service is not ready",
            RefusalKind::Closed => "the service is gone",
        })
    }
}

impl error::Error for Refusal {}

#[cfg(feature = "http")]
impl Refusal {
    /// Returns the HTTP status of this refusal: 504 after a timeout or deadline, 429 if the rate is limited, 503
    /// otherwise.
    pub const fn status(&self) -> http::StatusCode {
        match self.kind {
            RefusalKind::Elapsed | RefusalKind::DeadlineExceeded => {
                http::StatusCode::GATEWAY_TIMEOUT
            }
            RefusalKind::RateLimited => http::StatusCode::TOO_MANY_REQUESTS,
            _ => http::StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns the gRPC code of this refusal: DEADLINE_EXCEEDED after a timeout or deadline, RESOURCE_EXHAUSTED if the
    /// rate is limited, UNAVAILABLE otherwise.
    pub const fn grpc_code(&self) -> crate::http::Code {
        use crate::http::Code;

        match self.kind {
            RefusalKind::Elapsed | RefusalKind::DeadlineExceeded => Code::DeadlineExceeded,
            RefusalKind::RateLimited => Code::ResourceExhausted,
            _ => Code::Unavailable,
        }
    }
}

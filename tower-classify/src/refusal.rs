use std::time::Duration;

/// What a caller needs to know of an error that a layer raised itself: its kind, and when to come back.
///
/// `tower::refusal::of` makes one of any error of the family. With the feature `http` it gives the HTTP status and the gRPC
/// code to answer with.
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

/// Which layer refused, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalKind {
    /// A timeout elapsed.
    Elapsed,
    /// The deadline of the request has passed.
    DeadlineExceeded,
    /// As many requests as allowed are in flight or queued.
    Overloaded,
    /// As many requests as allowed were sent in this period.
    RateLimited,
    /// A circuit breaker is open.
    BreakerOpen,
    /// A budget, such as that of retries, is used up.
    BudgetExhausted,
    /// No endpoint is known, or none is ready.
    NoEndpoints,
    /// The service has not been ready for too long.
    FailFast,
    /// The task that runs the service is gone.
    Closed,
}

impl Refusal {
    /// A refusal that does not say when to come back.
    pub const fn new(kind: RefusalKind) -> Self {
        Self {
            kind,
            retry_after: None,
        }
    }

    /// Sets after what time a request may succeed.
    #[must_use]
    pub const fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Returns which layer refused, and why.
    pub const fn kind(&self) -> RefusalKind {
        self.kind
    }

    /// Returns after what time a request may succeed, if that is known: for a header `retry-after`, or a
    /// `grpc-retry-pushback-ms`.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

#[cfg(feature = "http")]
impl Refusal {
    /// Returns the HTTP status of this refusal: 504 if time ran out, 429 if the rate is limited, 503 otherwise.
    pub const fn status(&self) -> http::StatusCode {
        match self.kind {
            RefusalKind::Elapsed | RefusalKind::DeadlineExceeded => {
                http::StatusCode::GATEWAY_TIMEOUT
            }
            RefusalKind::RateLimited => http::StatusCode::TOO_MANY_REQUESTS,
            _ => http::StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns the gRPC code of this refusal: DEADLINE_EXCEEDED if time ran out, RESOURCE_EXHAUSTED if a limit is reached,
    /// UNAVAILABLE otherwise.
    pub const fn grpc_code(&self) -> crate::http::Code {
        use crate::http::Code;

        match self.kind {
            RefusalKind::Elapsed | RefusalKind::DeadlineExceeded => Code::DeadlineExceeded,
            RefusalKind::Overloaded | RefusalKind::RateLimited | RefusalKind::BudgetExhausted => {
                Code::ResourceExhausted
            }
            _ => Code::Unavailable,
        }
    }
}

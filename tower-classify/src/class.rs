use std::time::Duration;

/// What the result of a request says about the service that it was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Class {
    /// The service responded. A response that reports an error of the caller is a success as well, for example a 404.
    Success,
    /// The service failed, or did not respond.
    Failure(Failure),
    /// The request was never processed, so that any request may be sent again: no connection was established, or the
    /// peer reported that it did not process the request.
    Unsent,
    /// The result says nothing about the service: the request was cancelled, was invalid, or had no time left.
    Ignored,
}

impl Class {
    /// Creates a failure of this kind, without a pushback; see [`Failure::new`].
    pub const fn failure(kind: FailureKind) -> Self {
        Self::Failure(Failure::new(kind))
    }

    /// Returns whether this is a success.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Success)
    }

    /// Returns whether the service failed: [`Failure`](Self::Failure) or [`Unsent`](Self::Unsent).
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failure(_) | Self::Unsent)
    }
}

impl From<Failure> for Class {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// How a request failed: the kind of failure, whether another attempt may succeed, and the pushback of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    kind: FailureKind,
    is_transient: bool,
    pushback: Option<Pushback>,
}

/// The kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The server failed while processing the request, and would fail again: 500, `INTERNAL`.
    Internal,
    /// The server cannot process requests at present: 502, 503, `UNAVAILABLE`.
    Unavailable,
    /// The server, or a limit of this process below the layer that asks, rejects excess load: 429, `RESOURCE_EXHAUSTED`,
    /// a [`Refusal`](crate::Refusal) of that kind.
    Overloaded,
    /// There was no response in time: 504, `DEADLINE_EXCEEDED`, an elapsed timeout, an I/O error
    /// `TimedOut`.
    Timeout,
    /// The connection was lost before the response. The request may have been processed.
    Disconnected,
    /// An error without further information.
    Unknown,
}

/// When the server accepts another attempt, as reported by the server: `retry-after` in HTTP, `grpc-retry-pushback-ms`
/// in gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushback {
    /// It accepts another attempt after this time.
    After(Duration),
    /// It asks not to send the request again.
    Never,
}

impl Failure {
    /// Creates a failure without a pushback. It is transient unless `kind` is [`FailureKind::Internal`].
    pub const fn new(kind: FailureKind) -> Self {
        Self {
            kind,
            is_transient: !matches!(kind, FailureKind::Internal),
            pushback: None,
        }
    }

    /// Sets whether the failure is transient: whether another attempt may succeed.
    #[must_use]
    pub const fn transient(mut self, is_transient: bool) -> Self {
        self.is_transient = is_transient;
        self
    }

    /// Replaces the kind, and nothing else.
    #[must_use]
    pub const fn of_kind(mut self, kind: FailureKind) -> Self {
        self.kind = kind;
        self
    }

    /// Sets when the server accepts another attempt, if it has reported that.
    #[must_use]
    pub const fn with_pushback(mut self, pushback: Option<Pushback>) -> Self {
        self.pushback = pushback;
        self
    }

    /// Returns the kind of failure.
    pub const fn kind(&self) -> FailureKind {
        self.kind
    }

    /// Returns whether the failure is transient: whether another attempt may succeed.
    pub const fn is_transient(&self) -> bool {
        self.is_transient
    }

    /// Returns when the server accepts another attempt, or `None` if it has not reported that.
    pub const fn pushback(&self) -> Option<Pushback> {
        self.pushback
    }
}

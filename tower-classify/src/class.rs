use std::time::Duration;

/// What the result of a request says about the service that it was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Class {
    /// The service answered. What the answer says is between it and the caller: a 404 is a success.
    Success,
    /// The service failed, or did not answer.
    Failure(Failure),
    /// The request was never processed, so that it may be sent again whatever it is: no connection was made, or the peer
    /// said that it ignored the request.
    Unsent,
    /// The result says nothing about the service: the request was cancelled, was itself invalid, or was stopped by a limit of
    /// this process.
    Ignored,
}

impl Class {
    /// A failure of this kind.
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

/// A failed request: of which kind, whether another attempt may succeed, and what the server says about one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    kind: FailureKind,
    is_transient: bool,
    pushback: Option<Pushback>,
}

/// Which kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The server failed while processing the request, and would again: 500, `INTERNAL`.
    Internal,
    /// The server cannot process requests at present: 502, 503, `UNAVAILABLE`.
    Unavailable,
    /// The server, or a limit, rejects excess load: 429, `RESOURCE_EXHAUSTED`.
    Overloaded,
    /// There was no answer in time: 504, `DEADLINE_EXCEEDED`, an elapsed timeout.
    Timeout,
    /// The connection broke before the answer. The request may have been processed.
    Disconnected,
    /// An error of which nothing more is known.
    Unknown,
}

/// When the server accepts another attempt, as it said itself: `retry-after` in HTTP, `grpc-retry-pushback-ms` in gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushback {
    /// After this time.
    After(Duration),
    /// Never.
    Never,
}

impl Failure {
    /// A failure without a pushback. It is transient unless `kind` is [`FailureKind::Internal`].
    pub const fn new(kind: FailureKind) -> Self {
        Self {
            kind,
            is_transient: !matches!(kind, FailureKind::Internal),
            pushback: None,
        }
    }

    /// Sets whether another attempt may succeed.
    #[must_use]
    pub const fn transient(mut self, is_transient: bool) -> Self {
        self.is_transient = is_transient;
        self
    }

    /// Sets what the server says about another attempt.
    #[must_use]
    pub const fn with_pushback(mut self, pushback: Option<Pushback>) -> Self {
        self.pushback = pushback;
        self
    }

    /// Returns the kind of failure.
    pub const fn kind(&self) -> FailureKind {
        self.kind
    }

    /// Returns whether another attempt may succeed.
    pub const fn is_transient(&self) -> bool {
        self.is_transient
    }

    /// Returns what the server says about another attempt, if anything.
    pub const fn pushback(&self) -> Option<Pushback> {
        self.pushback
    }
}

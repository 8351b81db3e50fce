use std::time::Duration;

use tower_readiness::{LayerEvent, Observer, event};

use crate::error::{LimitExceeded, LimitKind};

/// An event of a limit that refuses or changes, passed to the observer of the limit's `on_event`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A request was refused.
    Refused {
        /// The kind of the limit.
        limit: LimitKind,
        /// The time after which a request would be admitted, if it is known.
        retry_after: Option<Duration>,
    },
    /// A key was forgotten for a new one although its bucket was not full, so that it could exceed its rate.
    Forgot,
    /// An adaptive limit has changed.
    Changed {
        /// The limit of requests in flight until now.
        from: usize,
        /// The limit from now on.
        to: usize,
    },
}

impl LayerEvent for Event {
    const LAYER: &'static str = "limit";

    fn kind(&self) -> &'static str {
        match self {
            Self::Refused { limit, .. } => match limit {
                LimitKind::Concurrency => "concurrency_refused",
                LimitKind::Rate => "rate_refused",
                LimitKind::KeyConcurrency => "key_concurrency_refused",
                LimitKind::KeyRate => "key_rate_refused",
                LimitKind::Keys => "keys_refused",
            },
            Self::Forgot => "forgot",
            Self::Changed { .. } => "changed",
        }
    }
}

/// Emits the events of a refusal, and returns its error.
#[cold]
pub(crate) fn refuse(
    limit: LimitKind,
    retry_after: Option<Duration>,
    observer: &Observer<Event>,
) -> LimitExceeded {
    event!(
        DEBUG,
        ?limit,
        ?retry_after,
        "limit exceeded: rejecting a request"
    );
    observer.notify(&Event::Refused { limit, retry_after });
    LimitExceeded::new(limit, retry_after)
}

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use pin_project_lite::pin_project;
use tower_classify::ErrorIsFailure;
use tower_discover::{Change, Discover};
use tower_service::Service;

use super::{Handle, PeakEwma};
use crate::completion::{CompleteOnResponse, TrackCompletion};

pin_project! {
    /// Wraps each service from a [`Discover`] in [`PeakEwma`].
    pub struct PeakEwmaDiscover<D, C = CompleteOnResponse, K = ErrorIsFailure> {
        #[pin]
        discover: D,
        default_rtt: Duration,
        decay: Duration,
        completion: C,
        classify: K,
    }
}

impl<D, C> PeakEwmaDiscover<D, C> {
    /// Wraps the services from `discover`. For the other arguments, see [`PeakEwma::new`].
    pub fn new<Request>(discover: D, default_rtt: Duration, decay: Duration, completion: C) -> Self
    where
        D: Discover,
        D::Service: Service<Request>,
        C: TrackCompletion<Handle, <D::Service as Service<Request>>::Response>,
    {
        Self {
            discover,
            default_rtt,
            decay,
            completion,
            classify: ErrorIsFailure,
        }
    }
}

impl<D, C, K> PeakEwmaDiscover<D, C, K> {
    /// Sets how results are classified: see [`PeakEwma::classify`]. Each service gets a clone.
    #[must_use]
    pub fn classify<K2>(self, classify: K2) -> PeakEwmaDiscover<D, C, K2> {
        PeakEwmaDiscover {
            discover: self.discover,
            default_rtt: self.default_rtt,
            decay: self.decay,
            completion: self.completion,
            classify,
        }
    }
}

impl<D: fmt::Debug, C: fmt::Debug, K> fmt::Debug for PeakEwmaDiscover<D, C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeakEwmaDiscover")
            .field("discover", &self.discover)
            .field("default_rtt", &self.default_rtt)
            .field("decay", &self.decay)
            .field("completion", &self.completion)
            .finish_non_exhaustive()
    }
}

impl<D, C, K> Stream for PeakEwmaDiscover<D, C, K>
where
    D: Discover,
    C: Clone,
    K: Clone,
{
    type Item = Result<Change<D::Key, PeakEwma<D::Service, C, K>>, D::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        let change = ready!(this.discover.poll_discover(cx));
        Poll::Ready(change.map(|change| {
            Ok(match change? {
                Change::Insert(key, service) => {
                    let completion = this.completion.clone();
                    let service =
                        PeakEwma::with_decay(service, *this.default_rtt, *this.decay, completion);
                    Change::Insert(key, service.classify(this.classify.clone()))
                }
                Change::Remove(key) => Change::Remove(key),
            })
        }))
    }
}

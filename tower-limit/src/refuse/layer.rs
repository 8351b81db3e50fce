use std::time::Duration;

use tower_layer::Layer;
use tower_readiness::Observer;

use super::{Limit, Refuse};
use crate::Event;

/// Wraps services in a limit of the layer `T`, and that in [`Refuse`].
///
/// It is created by the methods `shed` and `max_wait` of the limits' layers.
#[derive(Clone, Debug)]
pub struct RefuseLayer<T> {
    limit: T,
    max_wait: Option<Duration>,
    observer: Observer<Event>,
}

impl<T> RefuseLayer<T> {
    pub(crate) const fn new(limit: T, max_wait: Option<Duration>) -> Self {
        Self {
            limit,
            max_wait,
            observer: Observer::none(),
        }
    }

    #[cfg(feature = "adaptive")]
    pub(crate) fn observed_by(self, observer: Observer<Event>) -> Self {
        Self { observer, ..self }
    }

    /// Calls `observe` for each refused request.
    #[must_use]
    pub fn on_event(mut self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observe);
        self
    }
}

#[cfg(all(feature = "concurrency", feature = "http"))]
crate::http::holding_layer!(RefuseLayer<T>);

impl<T, S> Layer<S> for RefuseLayer<T>
where
    T: Layer<S, Service: Limit>,
{
    type Service = Refuse<T::Service>;

    fn layer(&self, service: S) -> Refuse<T::Service> {
        let limit = self.limit.layer(service);
        Refuse::new(limit, self.max_wait, self.observer.clone())
    }
}

/// Adds `shed` and `max_wait` to a limit's layer.
macro_rules! refusing_layer {
    ($layer:ident) => {
        impl $layer {
            /// Makes the limit refuse requests that would have to wait, with a
            /// [`LimitExceeded`](crate::error::LimitExceeded): see [`refuse`](crate::refuse).
            pub const fn shed(self) -> crate::refuse::RefuseLayer<Self> {
                crate::refuse::RefuseLayer::new(self, None)
            }

            /// Makes the limit refuse requests that have waited for `max`, with a
            /// [`LimitExceeded`](crate::error::LimitExceeded): see [`refuse`](crate::refuse).
            pub const fn max_wait(
                self,
                max: std::time::Duration,
            ) -> crate::refuse::RefuseLayer<Self> {
                crate::refuse::RefuseLayer::new(self, Some(max))
            }
        }
    };
}
pub(crate) use refusing_layer;

/// Adds `shed` and `max_wait` to a limit's service.
macro_rules! refusing_service {
    ($service:ident) => {
        impl<T> $service<T> {
            /// Makes the limit refuse requests that would have to wait, with a
            /// [`LimitExceeded`](crate::error::LimitExceeded): see [`refuse`](crate::refuse).
            pub const fn shed(self) -> crate::refuse::Refuse<Self> {
                crate::refuse::Refuse::new(self, None, tower_readiness::Observer::none())
            }

            /// Makes the limit refuse requests that have waited for `max`, with a
            /// [`LimitExceeded`](crate::error::LimitExceeded): see [`refuse`](crate::refuse).
            pub const fn max_wait(self, max: std::time::Duration) -> crate::refuse::Refuse<Self> {
                crate::refuse::Refuse::new(self, Some(max), tower_readiness::Observer::none())
            }
        }

        impl<T> crate::refuse::Limit for $service<T> {}
    };
}
pub(crate) use refusing_service;

use tower_classify::ErrorIsFailure;
use tower_layer::Layer;
use tower_readiness::Observer;

use crate::{Event, Fallback, FromFn, FromRequest, FromService, FromValue, When};

/// Wraps services in [`Fallback`].
#[derive(Clone, Debug)]
pub struct FallbackLayer<F, C = ErrorIsFailure> {
    fallback: F,
    classify: C,
    observer: Observer<Event>,
}

impl<F> FallbackLayer<F> {
    /// Creates a layer with a [`Substitute`](crate::Substitute) of your own.
    pub const fn new(fallback: F) -> Self {
        Self {
            fallback,
            classify: ErrorIsFailure,
            observer: Observer::none(),
        }
    }
}

impl<V> FallbackLayer<FromValue<V>> {
    /// Creates a layer that responds with a clone of `value`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use tower_fallback::FallbackLayer;
    /// use tower_layer::Layer;
    /// use tower_util::{ServiceExt, service_fn};
    ///
    /// let broken = service_fn(async |_: u32| Err::<String, _>(std::fmt::Error));
    /// let service = FallbackLayer::value("nothing new".to_owned()).layer(broken);
    /// assert_eq!(service.oneshot(7).await.unwrap(), "nothing new");
    /// # }
    /// ```
    pub fn value(value: V) -> Self {
        Self::new(FromValue::new(value))
    }
}

impl<F> FallbackLayer<FromFn<F>> {
    /// Creates a layer that responds with what `function` returns for the failed result: a response, or an error.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use tower_fallback::FallbackLayer;
    /// use tower_layer::Layer;
    /// use tower_util::{ServiceExt, service_fn};
    ///
    /// let broken = service_fn(async |_: u32| Err::<String, _>(std::fmt::Error));
    /// let apologize = |failed: Result<String, std::fmt::Error>| Ok(format!("sorry: {}", failed.unwrap_err()));
    /// let service = FallbackLayer::function(apologize).layer(broken);
    /// assert!(service.oneshot(7).await.unwrap().starts_with("sorry: "));
    /// # }
    /// ```
    pub const fn function<Res, E>(function: F) -> Self
    where
        F: FnOnce(Result<Res, E>) -> Result<Res, E>,
    {
        Self::new(FromFn::new(function))
    }
}

impl<F> FallbackLayer<FromRequest<F>> {
    /// Creates a layer that responds with what `function` returns for the request and its failed result. Each request is cloned
    /// before it is sent.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use std::fmt::Error;
    /// use tower_fallback::FallbackLayer;
    /// use tower_layer::Layer;
    /// use tower_util::{ServiceExt, service_fn};
    ///
    /// let broken = service_fn(async |_: u32| Err::<u32, _>(Error));
    /// let estimate = |n: u32, failed: Result<u32, Error>| if n < 10 { Ok(n * 2) } else { failed };
    /// let service = FallbackLayer::request_function(estimate).layer(broken);
    /// assert_eq!(service.clone().oneshot(7).await, Ok(14));
    /// assert_eq!(service.oneshot(10).await, Err(Error));
    /// # }
    /// ```
    pub const fn request_function<Req, Res, E>(function: F) -> Self
    where
        F: FnOnce(Req, Result<Res, E>) -> Result<Res, E>,
    {
        Self::new(FromRequest::new(function))
    }
}

impl<B> FallbackLayer<FromService<B>> {
    /// Creates a layer that sends a failed request to a clone of `service`. Each request is cloned before it is sent.
    pub const fn service(service: B) -> Self {
        Self::new(FromService::new(service))
    }
}

impl<F, C> FallbackLayer<F, C> {
    /// Uses the fallback only for errors that `predicate` accepts. By default, for each error.
    pub fn when<E, P>(self, predicate: P) -> FallbackLayer<F, When<P>>
    where
        P: Fn(&E) -> bool,
    {
        self.classify(When(predicate))
    }

    /// Uses the fallback for results that `classify` classifies as a failure or as unsent: errors, or responses as well.
    pub fn classify<D>(self, classify: D) -> FallbackLayer<F, D> {
        FallbackLayer {
            fallback: self.fallback,
            classify,
            observer: self.observer,
        }
    }

    /// Calls `observe` whenever the fallback is used, and when it fails.
    #[must_use]
    pub fn on_event(mut self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observe);
        self
    }
}

impl<F: Clone, C: Clone, S> Layer<S> for FallbackLayer<F, C> {
    type Service = Fallback<S, F, C>;

    fn layer(&self, service: S) -> Fallback<S, F, C> {
        Fallback::build(
            service,
            self.fallback.clone(),
            self.classify.clone(),
            self.observer.clone(),
        )
    }
}

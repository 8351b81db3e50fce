use std::sync::Arc;

use tower_classify::ErrorIsFailure;
use tower_layer::Layer;
use tower_readiness::Observer;
use tower_util::InvalidPolicy;
use tower_util::rng::{Rng, SplitMix};

use super::service::Mode;
use super::shared::Shared;
use super::{BreakerHandle, CircuitBreaker};
use crate::Event;
use crate::fallback::Reject;
use crate::policy::BreakerPolicy;

/// Wraps services in [`CircuitBreaker`]; see the [crate's documentation](crate).
///
/// Each service that the layer wraps has its own breaker, which its clones share. If the layer is applied for each
/// connection, as axum applies the layers of a `Router`, each connection has its own: use [`shared`](Self::shared) for
/// one breaker.
///
/// | parameter | decides | default |
/// |---|---|---|
/// | `C` | which results are failures: a [`Classify`](tower_classify::Classify) | [`ErrorIsFailure`] |
/// | `F` | what responds while the breaker is open: a [`Fallback`](crate::Fallback) | [`Reject`] |
#[derive(Clone, Debug)]
pub struct CircuitBreakerLayer<C = ErrorIsFailure, F = Reject> {
    source: Source,
    classify: C,
    fallback: F,
    mode: Mode,
}

#[derive(Clone, Debug)]
enum Source {
    /// A breaker for each service.
    Each(Settings),
    /// One breaker for all services.
    Shared(Arc<Shared>),
}

/// What a breaker is created from. The policy is valid.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    policy: BreakerPolicy,
    observer: Observer<Event>,
    seed: Option<u64>,
}

impl CircuitBreakerLayer {
    /// Creates a layer with this policy.
    ///
    /// # Panics
    ///
    /// If a setting of the policy is out of range; see [`try_new`](Self::try_new).
    pub fn new(policy: BreakerPolicy) -> Self {
        Self::try_new(policy).expect("the policy of the circuit breaker is valid")
    }

    /// Creates a layer with this policy.
    ///
    /// # Errors
    ///
    /// If a number of failures, probes or successes is 0, a ratio is not more than 0 and at most 1, or the window or
    /// the time of a probe is zero.
    pub fn try_new(policy: BreakerPolicy) -> Result<Self, InvalidPolicy> {
        Ok(Self {
            source: Source::Each(Settings::new(policy)?),
            classify: ErrorIsFailure,
            fallback: Reject,
            mode: Mode::Reject,
        })
    }
}

impl<C, F> CircuitBreakerLayer<C, F> {
    /// Sets which results are failures: a closure `Fn(Result<&Response, &BoxError>) -> Class`, or any other
    /// [`Classify`](tower_classify::Classify). By default [`ErrorIsFailure`]. For HTTP and gRPC there is
    /// `tower_classify::http::HttpClassify`, behind the feature `http`.
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> CircuitBreakerLayer<C2, F> {
        CircuitBreakerLayer {
            source: self.source,
            classify,
            fallback: self.fallback,
            mode: self.mode,
        }
    }

    /// Sets what responds to a request that is not sent: a closure `Fn(Request, Open) -> impl Future`, or any other
    /// [`Fallback`](crate::Fallback). By default the request fails with [`Open`](crate::error::Open).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), tower_breaker::BoxError> {
    /// use tower_breaker::error::Open;
    /// use tower_breaker::policy::BreakerPolicy;
    /// use tower_breaker::{BoxError, CircuitBreakerLayer};
    /// use tower_layer::Layer;
    /// use tower_util::{ServiceExt, service_fn};
    ///
    /// let (layer, breaker) = CircuitBreakerLayer::new(BreakerPolicy::standard())
    ///     .fallback(|name: &'static str, _: Open| async move { Ok(format!("{name}, as of yesterday")) })
    ///     .shared();
    /// let service = layer.layer(service_fn(async |name: &'static str| Ok::<_, BoxError>(format!("{name} now"))));
    ///
    /// breaker.force_open();
    /// assert_eq!(service.oneshot("rates").await?, "rates, as of yesterday");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn fallback<F2>(self, fallback: F2) -> CircuitBreakerLayer<C, F2> {
        CircuitBreakerLayer {
            source: self.source,
            classify: self.classify,
            fallback,
            mode: self.mode,
        }
    }

    /// Makes callers wait in `poll_ready` while the breaker is open, instead of rejecting their requests.
    ///
    /// Use it for the endpoints of a balancer, so that their breakers make the balancer send requests to other endpoints;
    /// [`BreakEndpoints`](crate::BreakEndpoints) does. Above a single service it delays all requests until a probe has
    /// succeeded.
    #[must_use]
    pub fn wait_while_open(mut self) -> Self {
        self.mode = Mode::Wait;
        self
    }

    /// Calls `observer` for each event. It runs inside the response future or a call, so it must not block. No lock is
    /// held meanwhile, so it may use a [`BreakerHandle`].
    ///
    /// Has no effect after [`shared`](Self::shared).
    #[must_use]
    pub fn on_event(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        if let Source::Each(settings) = &mut self.source {
            settings.observer = Observer::new(observer);
        }
        self
    }

    /// Sets the seed of the jitter of the open times, for tests. By default it is random.
    ///
    /// Has no effect after [`shared`](Self::shared).
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        if let Source::Each(settings) = &mut self.source {
            settings.seed = Some(seed);
        }
        self
    }

    /// Lets all services of the layer share one breaker, and returns a handle of it.
    pub fn shared(self) -> (Self, BreakerHandle) {
        let shared = self.source.get();
        let layer = Self {
            source: Source::Shared(Arc::clone(&shared)),
            ..self
        };
        (layer, BreakerHandle::new(shared))
    }
}

impl Default for CircuitBreakerLayer {
    /// With [`BreakerPolicy::standard`].
    fn default() -> Self {
        Self::new(BreakerPolicy::standard())
    }
}

impl<S, C: Clone, F: Clone> Layer<S> for CircuitBreakerLayer<C, F> {
    type Service = CircuitBreaker<S, C, F>;

    fn layer(&self, inner: S) -> Self::Service {
        let (classify, fallback) = (self.classify.clone(), self.fallback.clone());
        CircuitBreaker::build(inner, self.source.get(), classify, fallback, self.mode)
    }
}

impl Source {
    fn get(&self) -> Arc<Shared> {
        match self {
            Self::Each(settings) => settings.create(),
            Self::Shared(shared) => Arc::clone(shared),
        }
    }
}

impl Settings {
    pub(crate) fn new(policy: BreakerPolicy) -> Result<Self, InvalidPolicy> {
        policy.validate()?;
        Ok(Self {
            policy,
            observer: Observer::none(),
            seed: None,
        })
    }

    pub(crate) fn create(&self) -> Arc<Shared> {
        let seed = self.seed.unwrap_or_else(|| SplitMix::new().next_u64());
        self.create_with(None, seed)
    }

    /// Creates a breaker, with another observer if there is one, and another seed.
    pub(crate) fn create_with(&self, observer: Option<Observer<Event>>, seed: u64) -> Arc<Shared> {
        let observer = observer.unwrap_or_else(|| self.observer.clone());
        let shared = Shared::new(self.policy.clone(), SplitMix::with_seed(seed), observer);
        Arc::new(shared.expect("the policy was validated"))
    }
}

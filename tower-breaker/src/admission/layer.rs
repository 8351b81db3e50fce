use std::sync::Arc;

use tower_classify::ErrorIsFailure;
use tower_layer::Layer;
use tower_readiness::Observer;
use tower_util::InvalidPolicy;
use tower_util::rng::{Rng, SplitMix};

use super::gate::Gate;
use super::{Admission, Event};
use crate::policy::{AdmissionPolicy, Throttle};

/// Wraps services in [`Admission`]; see the [module](super).
///
/// Each service that the layer wraps has its own counts, which its clones share.
///
/// | parameter | decides | default |
/// |---|---|---|
/// | `P` | with which probability a request is rejected: an [`AdmissionPolicy`] | |
/// | `C` | what a result means: a [`Classify`](tower_classify::Classify) | [`ErrorIsFailure`] |
#[derive(Clone, Debug)]
pub struct AdmissionLayer<P, C = ErrorIsFailure> {
    policy: P,
    classify: C,
    observer: Observer<Event>,
    seed: Option<u64>,
}

/// Client-side throttling: an [`AdmissionLayer`] with the policy [`Throttle`].
pub type ThrottleLayer<C = ErrorIsFailure> = AdmissionLayer<Throttle, C>;

impl<P: AdmissionPolicy> AdmissionLayer<P> {
    /// Creates a layer with this policy.
    ///
    /// # Panics
    ///
    /// If a setting of the policy is out of range; see [`try_new`](Self::try_new).
    pub fn new(policy: P) -> Self {
        Self::try_new(policy).expect("the policy of admission control is valid")
    }

    /// Creates a layer with this policy.
    ///
    /// # Errors
    ///
    /// If a setting of the policy is out of range.
    pub fn try_new(policy: P) -> Result<Self, InvalidPolicy> {
        policy.validate()?;
        Ok(Self {
            policy,
            classify: ErrorIsFailure,
            observer: Observer::none(),
            seed: None,
        })
    }
}

impl<P, C> AdmissionLayer<P, C> {
    /// Sets what results mean: a closure `Fn(Result<&Response, &BoxError>) -> Class`, or any other
    /// [`Classify`](tower_classify::Classify). By default [`ErrorIsFailure`]: the service has rejected each request that
    /// failed. For HTTP and gRPC there is `tower_classify::http::HttpClassify`, behind the feature `http`.
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> AdmissionLayer<P, C2> {
        AdmissionLayer {
            policy: self.policy,
            classify,
            observer: self.observer,
            seed: self.seed,
        }
    }

    /// Calls `observer` for each event. It runs inside a call, so it must not block.
    #[must_use]
    pub fn on_event(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observer);
        self
    }

    /// Sets the seed of the random numbers, for tests. By default it is random.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
}

impl Default for ThrottleLayer {
    fn default() -> Self {
        Self::new(Throttle::new())
    }
}

impl<S, P, C> Layer<S> for AdmissionLayer<P, C>
where
    P: AdmissionPolicy + Clone,
    C: Clone,
{
    type Service = Admission<S, P, C>;

    fn layer(&self, inner: S) -> Self::Service {
        let seed = self.seed.unwrap_or_else(|| SplitMix::new().next_u64());
        let gate = Gate::new(self.policy.clone(), seed, self.observer.clone());
        Admission::build(inner, Arc::new(gate), self.classify.clone())
    }
}

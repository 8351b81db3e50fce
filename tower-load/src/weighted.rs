use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use tower_service::Service;

use crate::metric::Load;

/// Gives a weight to a service that knows its load.
///
/// Put it around what measures the load, and not inside of it: a measurement has the weight 1. The weight can be changed while
/// it runs, by a [`Weight`]. With 0 the service gets no requests of a balancer that goes by
/// weight, unless all have 0.
///
/// # Example
///
/// ```
/// # struct Echo;
/// use tower_load::{Constant, Load, Weighted};
///
/// let service = Weighted::new(Constant::new(Echo, 1), 10);
/// assert_eq!(Load::relative_weight(&service), 10);
/// let weight = service.handle();
/// weight.set(20);
/// assert_eq!(Load::relative_weight(&service), 20);
/// ```
#[derive(Clone, Debug)]
pub struct Weighted<S> {
    inner: S,
    weight: Weight,
}

/// Changes the weight of a [`Weighted`] service.
#[derive(Clone, Debug)]
pub struct Weight(Arc<AtomicU32>);

impl Weight {
    /// The weight from now on.
    pub fn set(&self, weight: u32) {
        self.0.store(weight, Ordering::Relaxed);
    }

    /// The weight.
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl<S> Weighted<S> {
    /// `inner` has this weight.
    pub fn new(inner: S, weight: u32) -> Self {
        Self {
            inner,
            weight: Weight(Arc::new(AtomicU32::new(weight))),
        }
    }

    /// Another thing of the same weight, which is changed along with it.
    pub fn map<T>(self, f: impl FnOnce(S) -> T) -> Weighted<T> {
        Weighted {
            inner: f(self.inner),
            weight: self.weight,
        }
    }

    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// To change the weight later.
    pub fn handle(&self) -> Weight {
        self.weight.clone()
    }
}

impl<S: Load> Load for Weighted<S> {
    type Metric = S::Metric;

    fn load(&self) -> S::Metric {
        self.inner.load()
    }

    fn relative_weight(load: &Self) -> u32 {
        load.weight.get()
    }
}

impl<S, Req> Service<Req> for Weighted<S>
where
    S: Service<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> S::Future {
        self.inner.call(request)
    }
}

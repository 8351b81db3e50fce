use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use tower_service::Service;

use crate::metric::Load;

/// Adds a weight, its relative capacity, to a service that reports a load.
///
/// Put it around the wrapper that measures the load, not inside: the measuring wrappers report a weight of 1. The
/// weight can be changed at any time through a [`Weight`]. A balancer that uses weights sends no requests to a service
/// of weight 0, unless all weights are 0.
///
/// # Clone
///
/// Clones share the weight.
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

/// A handle that changes the weight of a [`Weighted`] service. Clones refer to the same weight.
#[derive(Clone, Debug)]
pub struct Weight(Arc<AtomicU32>);

impl Weight {
    /// Sets the weight of the service, also for all clones of this handle.
    pub fn set(&self, weight: u32) {
        self.0.store(weight, Ordering::Relaxed);
    }

    /// Returns the weight that was last set.
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl<S> Weighted<S> {
    /// Wraps `inner`, with this weight.
    pub fn new(inner: S, weight: u32) -> Self {
        Self {
            inner,
            weight: Weight(Arc::new(AtomicU32::new(weight))),
        }
    }

    /// Transforms the inner service. The weight is kept, and existing handles still change it.
    pub fn map<T>(self, f: impl FnOnce(S) -> T) -> Weighted<T> {
        Weighted {
            inner: f(self.inner),
            weight: self.weight,
        }
    }

    /// Returns a reference to the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Consumes `self`, returning the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// Returns a handle that changes the weight.
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

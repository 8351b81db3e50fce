//! Middleware that sends each request to one of several services of one kind, as a [`Picker`] says.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use tower_util::{BoxCloneService, ServiceExt, service_fn, steer::Steer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let routes: [BoxCloneService<&str, &str, Infallible>; 2] = [
//!     service_fn(async |_| Ok("the start page")).boxed_clone(),
//!     service_fn(async |_| Ok("not found")).boxed_clone(),
//! ];
//! let router = Steer::new(routes, |path: &&str, _: &[_]| if *path == "/" { 0 } else { 1 });
//! assert_eq!(router.clone().oneshot("/").await, Ok("the start page"));
//! assert_eq!(router.oneshot("/attic").await, Ok("not found"));
//! # }
//! ```
//!
//! # Readiness
//!
//! Ready when all services are: which of them gets the request is not known before. All of those that are not ready
//! yet are polled, so that they get ready side by side. One that is never ready blocks all; put a load-shedding layer around
//! those that may be overloaded.
//!
//! Those that do not get the request stay ready for the next one, with what they have reserved, for as long as the handle is
//! idle. With a [`ConcurrencyLimit`](https://docs.rs/tower/latest/tower/limit/struct.ConcurrencyLimit.html) as a service,
//! each handle that has called another one keeps a permit, and two services that share a limit of one request are never ready
//! together. Put a [`Buffer`](https://docs.rs/tower/latest/tower/buffer) around each service that has a limit: it takes
//! a permit for a request that is there, and for none else. Or put the limit around the whole.
//!
//! # Errors
//!
//! The services' errors. An error of the readiness of one is one of them all, and the `Steer` is at its end: use a clone, or
//! put services below whose readiness does not fail.
//!
//! # Clone
//!
//! A clone has clones of the services, and asks each of them anew whether it is ready.
//!
//! # Implementation notes
//!
//! `call` could have the other services give back what they have reserved. But each of them would be polled twice more for each
//! request, and one may fail when it is asked to give back: only `poll_ready` can return such an error, and there is no place
//! to keep it until then, as the type of a `Steer` does not know the services' error.

use std::fmt;
use std::marker::PhantomData;
use std::task::{Context, Poll, ready};

use tower_readiness::Purpose;
use tower_service::Service;

/// Says which service gets a request. Implemented for each `Fn(&Req, &[S]) -> usize`.
pub trait Picker<S, Req> {
    /// The index in `services` of the one that gets `r`.
    fn pick(&mut self, r: &Req, services: &[S]) -> usize;
}

impl<S, F, Req> Picker<S, Req> for F
where
    F: Fn(&Req, &[S]) -> usize,
{
    fn pick(&mut self, r: &Req, services: &[S]) -> usize {
        self(r, services)
    }
}

/// Sends each request to the one of its services that the picker `F` says; see the [module](self).
pub struct Steer<S, F, Req> {
    picker: F,
    services: Vec<S>,
    /// The one that was called last, while it is not known to be ready again.
    called: Option<usize>,
    /// Those that have not been ready yet. Empty if one was called.
    not_ready: Vec<usize>,
    _marker: PhantomData<fn(Req)>,
}

impl<S, F, Req> Steer<S, F, Req> {
    /// Requests go to one of `services`, as `router` says.
    pub fn new(services: impl IntoIterator<Item = S>, router: F) -> Self {
        let services: Vec<_> = services.into_iter().collect();
        Self {
            picker: router,
            called: None,
            not_ready: (0..services.len()).collect(),
            services,
            _marker: PhantomData,
        }
    }
}

impl<S, Req, F> Service<Req> for Steer<S, F, Req>
where
    S: Service<Req>,
    F: Picker<S, Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if Purpose::current() != Purpose::Call {
            return self.poll_without_request(cx);
        }
        if let Some(index) = self.called {
            ready!(self.services[index].poll_ready(cx))?;
            self.called = None;
        } else if !self.not_ready.is_empty() {
            ready!(self.poll_not_ready(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// # Panics
    ///
    /// If not all services are ready, or if the picker names a service that there is not.
    fn call(&mut self, request: Req) -> S::Future {
        assert!(
            self.called.is_none() && self.not_ready.is_empty(),
            "service not ready; poll_ready must be called first"
        );
        let index = self.picker.pick(&request, &self.services);
        let service = &mut self.services[index];
        self.called = Some(index);
        service.call(request)
    }
}

impl<S, F, Req> Steer<S, F, Req>
where
    S: Service<Req>,
{
    #[cold]
    fn poll_not_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let mut failure = Ok(());
        let services = &mut self.services;
        self.not_ready
            .retain(|&index| match services[index].poll_ready(cx) {
                Poll::Ready(Ok(())) => false,
                Poll::Ready(Err(error)) => {
                    failure = Err(error);
                    true
                }
                Poll::Pending => true,
            });
        failure?;
        if self.not_ready.is_empty() {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    /// No service reserves anything now, so all have to be polled again before the next call.
    #[cold]
    fn poll_without_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.called = None;
        self.not_ready = (0..self.services.len()).collect();
        let mut ready = true;
        for service in &mut self.services {
            ready &= service.poll_ready(cx)?.is_ready();
        }
        if ready {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }
}

impl<S: Clone, F: Clone, Req> Clone for Steer<S, F, Req> {
    fn clone(&self) -> Self {
        Self::new(self.services.iter().cloned(), self.picker.clone())
    }
}

impl<S: fmt::Debug, F: fmt::Debug, Req> fmt::Debug for Steer<S, F, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steer")
            .field("picker", &self.picker)
            .field("services", &self.services)
            .field("called", &self.called)
            .field("not_ready", &self.not_ready)
            .finish()
    }
}

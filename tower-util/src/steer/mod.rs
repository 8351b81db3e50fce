//! Middleware that sends each request to one of several services of the same type, chosen by a [`Picker`].
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
//! [`Weighted`] is a picker that sends each service a share of the requests.
//!
//! # Readiness
//!
//! Ready when all services are, because the service that gets the request is not known before `call`. All services that
//! are not ready are polled, so that they become ready concurrently. A service that is never ready blocks all requests;
//! put load shedding around services that may be overloaded.
//!
//! A service that does not get the request stays ready for the next one and keeps its reservation while the handle is
//! idle. With a [`ConcurrencyLimit`](https://docs.rs/tower/latest/tower/limit/struct.ConcurrencyLimit.html) as a
//! service, each handle that has called another service holds a permit, and two services that share a limit of one are
//! never ready at the same time. Put a [`Buffer`](https://docs.rs/tower/latest/tower/buffer) around each service that
//! has a limit: it acquires a permit only when there is a request. Or put the limit around the `Steer`.
//!
//! # Errors
//!
//! The services' errors. If the readiness of one service fails, `poll_ready` fails, and the `Steer` must not be used
//! again: use a clone, or services whose readiness does not fail.
//!
//! # Clone
//!
//! A clone has clones of the services, none of which is ready.
//!
//! # Implementation notes
//!
//! `call` could release the reservations of the other services. But that would poll each of them two more times per
//! request, and a service may fail when it is polled to release: only `poll_ready` can return that error, and there is
//! no place to keep it until then, since the type of a `Steer` does not know the error of its services.

mod weighted;

use std::fmt;
use std::marker::PhantomData;
use std::task::{Context, Poll, ready};

use tower_readiness::Purpose;
use tower_service::Service;

pub use self::weighted::{KeyHash, Random, Weighted, Weights};

/// Chooses the service for each request. Implemented for each `Fn(&Req, &[S]) -> usize`.
pub trait Picker<S, Req> {
    /// Returns the index in `services` of the service for the request `r`.
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

/// Sends each request to the service that the picker `F` chooses; see the [module](self).
pub struct Steer<S, F, Req> {
    picker: F,
    services: Vec<S>,
    /// The service that was called last, until it is ready again.
    called: Option<usize>,
    /// The services that have not been ready yet. Empty if one was called.
    not_ready: Vec<usize>,
    _marker: PhantomData<fn(Req)>,
}

impl<S, F, Req> Steer<S, F, Req> {
    /// Sends each request to one of `services`, chosen by `router`.
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
    /// If not all services are ready, or if the picker returns an index out of range.
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

    /// No service holds a reservation now, so all have to be polled again before the next call.
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

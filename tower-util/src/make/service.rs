use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::task::{Context, Poll};

use tower_service::Service;

use crate::sealed::Sealed;

/// An alias for a [`Service`] that creates services, for shorter bounds.
pub trait MakeService<Target, Request>: Sealed<(Target, Request)> {
    /// The response of the services it creates.
    type Response;

    /// The error of the services it creates.
    type Error;

    /// The service it creates.
    type Service: Service<Request, Response = Self::Response, Error = Self::Error>;

    /// The error of a failed creation.
    type MakeError;

    /// The future of the service.
    type Future: Future<Output = Result<Self::Service, Self::MakeError>>;

    /// Polls whether it is ready to create a service.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::MakeError>>;

    /// Creates a service for `target`.
    fn make_service(&mut self, target: Target) -> Self::Future;

    /// Converts it into a [`Service`], where the type of request cannot be inferred.
    fn into_service(self) -> IntoService<Self, Request>
    where
        Self: Sized,
    {
        IntoService {
            make: self,
            _marker: PhantomData,
        }
    }

    /// Borrows it as a [`Service`], where the type of request cannot be inferred.
    fn as_service(&mut self) -> AsService<'_, Self, Request>
    where
        Self: Sized,
    {
        AsService {
            make: self,
            _marker: PhantomData,
        }
    }
}

impl<M, S, Target, Request> Sealed<(Target, Request)> for M
where
    M: Service<Target, Response = S>,
    S: Service<Request>,
{
}

impl<M, S, Target, Request> MakeService<Target, Request> for M
where
    M: Service<Target, Response = S>,
    S: Service<Request>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Service = S;
    type MakeError = M::Error;
    type Future = M::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), M::Error>> {
        Service::poll_ready(self, cx)
    }

    fn make_service(&mut self, target: Target) -> M::Future {
        self.call(target)
    }
}

/// A [`MakeService`] as a [`Service`]; see [`MakeService::into_service`].
pub struct IntoService<M, Request> {
    make: M,
    _marker: PhantomData<Request>,
}

/// A borrowed [`MakeService`] as a [`Service`]; see [`MakeService::as_service`].
pub struct AsService<'a, M, Request> {
    make: &'a mut M,
    _marker: PhantomData<Request>,
}

impl<M, S, Target, Request> Service<Target> for IntoService<M, Request>
where
    M: Service<Target, Response = S>,
    S: Service<Request>,
{
    type Response = M::Response;
    type Error = M::Error;
    type Future = M::Future;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), M::Error>> {
        self.make.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, target: Target) -> M::Future {
        self.make.call(target)
    }
}

impl<M, S, Target, Request> Service<Target> for AsService<'_, M, Request>
where
    M: Service<Target, Response = S>,
    S: Service<Request>,
{
    type Response = M::Response;
    type Error = M::Error;
    type Future = M::Future;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), M::Error>> {
        self.make.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, target: Target) -> M::Future {
        self.make.call(target)
    }
}

impl<M: Clone, Request> Clone for IntoService<M, Request> {
    fn clone(&self) -> Self {
        Self {
            make: self.make.clone(),
            _marker: PhantomData,
        }
    }
}

impl<M: fmt::Debug, Request> fmt::Debug for IntoService<M, Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoService")
            .field("make", &self.make)
            .finish()
    }
}

impl<M: fmt::Debug, Request> fmt::Debug for AsService<'_, M, Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsService")
            .field("make", &self.make)
            .finish()
    }
}

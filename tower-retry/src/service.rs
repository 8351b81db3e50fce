use std::task::{Context, Poll};

use tower_service::Service;

use crate::Policy;
use crate::future::{NextAttempt, ResponseFuture};

/// Retries failed requests according to the policy `P`; see the [crate's documentation](crate).
#[derive(Clone, Debug)]
pub struct Retry<P, S> {
    policy: P,
    inner: S,
}

impl<P, S> Retry<P, S> {
    /// Wraps `service`, retrying requests according to `policy`.
    pub const fn new(policy: P, service: S) -> Self {
        Self {
            policy,
            inner: service,
        }
    }

    #[cfg(feature = "http")]
    pub(crate) const fn policy(&self) -> &P {
        &self.policy
    }

    /// Returns a reference to the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

// Neither field is structurally pinned.
impl<P, S> Unpin for Retry<P, S> {}

impl<P, S, Request> Service<Request> for Retry<P, S>
where
    P: Policy<Request, S::Response, S::Error> + Clone,
    S: Service<Request> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<P, S, Request>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let mut policy = P::for_request(&mut self.policy);
        let next_attempt = policy.clone_request(&request).map(|request| NextAttempt {
            request,
            service: self.inner.clone(),
        });
        ResponseFuture::new(policy, self.inner.call(request), next_attempt)
    }
}

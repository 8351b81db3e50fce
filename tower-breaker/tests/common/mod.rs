//! A service with one permit, for the tests of layers that reject requests.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tower_breaker::BoxError;
use tower_readiness::Purpose;
use tower_service::Service;

/// Always ready, with one permit, which it reserves only for requests.
#[derive(Clone, Default)]
pub(crate) struct OnePermit(Arc<AtomicBool>);

impl OnePermit {
    pub(crate) fn is_held(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<Req> Service<Req> for OnePermit {
    type Response = ();
    type Error = BoxError;
    type Future = Ready<Result<(), BoxError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let reserves = Purpose::current() == Purpose::Call;
        self.0.store(reserves, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Req) -> Self::Future {
        self.0.store(false, Ordering::Relaxed);
        ready(Ok(()))
    }
}

use std::task::{Context, Poll};

use http::Response;
use http_body::Body;
use tower_service::Service;

use super::HoldBody;
use super::future::ResponseFuture;
use crate::hold::HoldPermit;

/// Holds the permit of a limit until the body of the response has ended; see the [module](super).
#[derive(Clone, Debug)]
pub struct HoldUntilBodyEnd<L> {
    limit: L,
}

impl<L> HoldUntilBodyEnd<L> {
    pub(crate) const fn new(limit: L) -> Self {
        Self { limit }
    }

    /// Returns a reference to the limit.
    pub const fn get_ref(&self) -> &L {
        &self.limit
    }

    /// Returns a mutable reference to the limit.
    pub const fn get_mut(&mut self) -> &mut L {
        &mut self.limit
    }

    /// Returns the limit.
    pub fn into_inner(self) -> L {
        self.limit
    }
}

impl<L, Req, B> Service<Req> for HoldUntilBodyEnd<L>
where
    L: Service<Req, Response = Response<B>>,
    L::Future: HoldPermit<Output = Result<Response<B>, L::Error>>,
    B: Body,
{
    type Response = Response<HoldBody<B, <L::Future as HoldPermit>::Permit>>;
    type Error = L::Error;
    type Future = ResponseFuture<L::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), L::Error>> {
        self.limit.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        ResponseFuture::new(self.limit.call(request))
    }
}

#[cfg(feature = "load")]
impl<L: tower_load::Load> tower_load::Load for HoldUntilBodyEnd<L> {
    type Metric = L::Metric;

    fn load(&self) -> L::Metric {
        self.limit.load()
    }

    fn relative_weight(load: &Self) -> u32 {
        L::relative_weight(&load.limit)
    }
}

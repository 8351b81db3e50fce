//! A program that is built with both towers, to compare the sizes: a balancer under a buffer, a timeout, retries and a limit.

use std::future::{Ready, ready};
use std::time::Duration;

use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, PendingRequests};
use tower::retry::Policy;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};

/// Retries every error this many times.
#[derive(Clone)]
struct Attempts(u32);

impl<Res> Policy<u32, Res, BoxError> for Attempts {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut u32, result: &mut Result<Res, BoxError>) -> Option<Ready<()>> {
        self.0 = self.0.checked_sub(1)?;
        result.is_err().then(|| ready(()))
    }

    fn clone_request(&mut self, request: &u32) -> Option<u32> {
        Some(*request)
    }
}

async fn run() -> Result<(), BoxError> {
    let endpoint = |factor| {
        let endpoint = service_fn(move |n: u32| ready(n.checked_mul(factor).ok_or("too large")));
        PendingRequests::new(endpoint.map_err(BoxError::from), CompleteOnResponse::default())
    };
    let balance = Balance::new(ServiceList::new::<u32>([1, 2, 3].map(endpoint)));
    let service = ServiceBuilder::new()
        .concurrency_limit(8)
        .retry(Attempts(3))
        .timeout(Duration::from_secs(1))
        .buffer(16)
        .service(balance);
    println!("{}", service.oneshot(7).await?);
    Ok(())
}

fn main() -> Result<(), BoxError> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().build()?.block_on(run())
}

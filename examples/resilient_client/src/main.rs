//! A client that balances over replicas, one of which is broken, and retries: `cargo run -p example-resilient-client`.

use std::sync::Arc;
use std::time::Duration;

use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, PendingRequests};
use tower::retry::Policy;
use tower::retry::backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff};
use tower::retry::budget::{Budget, TpsBudget};
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};

/// Retries after any error: at most three times per request, and at most a fifth of all requests.
#[derive(Clone)]
struct Errors {
    left: u32,
    backoff: ExponentialBackoff,
    budget: Arc<TpsBudget>,
}

impl<Req: Clone, Res> Policy<Req, Res, BoxError> for Errors {
    type Future = <ExponentialBackoff as Backoff>::Future;

    fn retry(
        &mut self,
        _request: &mut Req,
        result: &mut Result<Res, BoxError>,
    ) -> Option<Self::Future> {
        if result.is_ok() {
            self.budget.deposit();
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        self.budget.withdraw().then(|| self.backoff.next_backoff())
    }

    fn clone_request(&mut self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let replicas: Vec<_> = ["a", "b", "broken"]
        .into_iter()
        .map(|name| {
            let replica = service_fn(move |n: u32| async move {
                if name == "broken" {
                    Err(BoxError::from("out of order"))
                } else {
                    Ok(format!("{n} by {name}"))
                }
            });
            PendingRequests::new(replica, CompleteOnResponse::default())
        })
        .collect();
    let policy = Errors {
        left: 3,
        backoff: ExponentialBackoffMaker::default().make_backoff(),
        budget: Arc::new(TpsBudget::default()),
    };
    let client = ServiceBuilder::new()
        .timeout(Duration::from_secs(5)) // all attempts together
        .retry(policy)
        .buffer(64) // the balancer is not `Clone`; its handle is
        .service(Balance::new(ServiceList::new::<u32>(replicas)));
    for n in 0..10 {
        println!("{}", client.clone().oneshot(n).await?);
    }
    Ok(())
}

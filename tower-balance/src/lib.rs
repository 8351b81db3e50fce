//! Load balancing over a changing set of endpoints.
//!
//! [`p2c::Balance`] takes its endpoints from a [`Discover`](tower_discover::Discover), drives all of them to readiness,
//! and sends each request to a ready one: by default the less loaded of two drawn at random, or the one that another
//! [`picker`] chooses.
//!
//! | task | use |
//! |---|---|
//! | build a balancer | [`p2c::Balance::builder`] |
//! | balance by weight, round robin, by consistent hashing, by probes | a [`picker`] |
//! | eject failing endpoints, slow-start new ones, observe all of them | the crate `tower-health`, around the discovery |
//! | connect to a subset of very many endpoints | a [`subset`] |
//! | send a retry to another endpoint | [`p2c::Balance::avoid_tried`] |
//! | build your own balancer from the same parts | [`policy`], [`ready_cache`] |
//!
//! The simulator in `benches/simulator` compares the pickers, with and without faults.
//!
//! While fewer endpoints than the panic threshold are healthy (`Health::set_panic_threshold` of `tower-health`, by default
//! 50 %), ejections are ignored. So if all endpoints are ejected, requests are sent to all of them. With a threshold of 0
//! they wait until an endpoint returns, or fail immediately if the `Health` is set to fail closed.
//!
//! A balancer is not `Clone`: share it with a buffer. Do not balance over a name that already leads to a load balancer,
//! nor over several connections to the same process.
//!
//! # Cost
//!
//! A balancer is used by one task at a time; tasks share it through a buffer around it. Below the balancer, requests to
//! the same endpoint share only its load ([`tower_load`]), which is one or a few atomic words. An endpoint that becomes
//! ready takes a lock for a short time to wake the balancer's task.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use std::convert::Infallible;
//! use tower_balance::p2c::Balance;
//! use tower_discover::ServiceList;
//! use tower_load::{CompleteOnResponse, PendingRequests};
//! use tower_util::{ServiceExt, service_fn};
//!
//! let endpoints = ["a", "b", "c"].map(|name| {
//!     let endpoint = service_fn(move |request: u32| async move { Ok::<_, Infallible>(format!("{request} by {name}")) });
//!     // The load of an endpoint is its number of requests in flight.
//!     PendingRequests::new(endpoint, CompleteOnResponse::default())
//! });
//! let balance = Balance::new(ServiceList::new::<u32>(endpoints));
//! assert!(balance.oneshot(7).await.unwrap().starts_with("7 by "));
//! # }
//! ```

mod event;
#[cfg(feature = "http")]
pub mod http;
pub mod p2c;
pub mod picker;
pub mod policy;
pub mod ready_cache;
pub mod subset;
mod sync;

pub use self::event::Event;
#[doc(inline)]
pub use self::p2c::Balance;

/// The errors of the balancer itself; those of endpoints are passed through.
pub mod error {
    use std::error::Error;
    use std::fmt;
    use std::sync::Arc;

    use crate::BoxError;

    /// The stream of endpoint changes failed; its error is the source.
    #[derive(Clone, Debug)]
    pub struct Discover(Arc<dyn Error + Send + Sync>);

    impl Discover {
        pub(crate) fn new(error: BoxError) -> Self {
            Self(error.into())
        }
    }

    impl fmt::Display for Discover {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("load balancer discovery failed")
        }
    }

    impl Error for Discover {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&*self.0)
        }
    }

    /// There are no endpoints, and there will be none: discovery has ended, and the last endpoint was removed or
    /// failed.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct NoEndpoints(pub(crate) ());

    impl fmt::Display for NoEndpoints {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("no endpoints are left, and discovery has ended")
        }
    }

    impl Error for NoEndpoints {}
}

/// A boxed error of any type.
#[doc(inline)]
pub use tower_util::BoxError;

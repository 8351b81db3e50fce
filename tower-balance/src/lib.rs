//! Load balancing over a changing set of services.
//!
//! [`p2c::Balance`] takes its endpoints from a [`Discover`](tower_discover::Discover), drives all of them to readiness,
//! and gives each request to one that is ready: the less loaded of two drawn at random, or what a picker of your choice says.
//!
//! | to | use |
//! |---|---|
//! | put a balancer together | [`p2c::Balance::builder`] |
//! | choose by weight, in turn, by a key of the request, by probes | a [`picker`] |
//! | leave out endpoints that fail, ease in new ones, look at all of them | [`health`] |
//! | use a part of very many endpoints | a [`subset`] |
//! | send a retry elsewhere | [`p2c::Balance::avoid_tried`] |
//! | build something else of the same parts | [`policy`], [`ready_cache`] |
//!
//! Which picker for what: the simulator in `benches/simulator` has tables of them all, in good times and bad.
//!
//! A balancer is one service, and not `Clone`: share it by a buffer. Do not balance where a name already leads to a
//! balancer, or over connections to one and the same process.
//!
//! # Cost
//!
//! A balancer has one owner, and is driven by one task at a time: tasks that share it do so by a buffer around it. What their
//! requests share below it is what is known of one endpoint: its load ([`tower_load`]) and its health ([`health`]), which
//! are atomic words, and a lock per endpoint with [`AccrueFailures`](health::AccrueFailures). A lock that all endpoints share is
//! taken for what is rare: a failure under [`EjectOutliers`](health::EjectOutliers), a change of an endpoint's standing, a
//! sweep. An endpoint that gets ready wakes the balancer's task, under a short lock.
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
//!     // The load of each is the number of requests that it has not answered yet.
//!     PendingRequests::new(endpoint, CompleteOnResponse::default())
//! });
//! let balance = Balance::new(ServiceList::new::<u32>(endpoints));
//! assert!(balance.oneshot(7).await.unwrap().starts_with("7 by "));
//! # }
//! ```

mod event;
pub mod health;
#[cfg(feature = "http")]
pub mod http;
mod lock;
pub mod p2c;
pub mod picker;
pub mod policy;
pub mod ready_cache;
mod source;
pub mod subset;
mod sync;

pub use self::event::Event;
#[doc(inline)]
pub use self::p2c::Balance;

/// Errors.
pub mod error {
    use std::error::Error;
    use std::fmt;
    use std::sync::Arc;

    use crate::BoxError;

    /// The discovery of endpoints failed.
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

    /// There is no endpoint, and there will be none: discovery has ended, and the last endpoint was removed or failed.
    #[derive(Debug)]
    pub struct NoEndpoints(pub(crate) ());

    impl fmt::Display for NoEndpoints {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("no endpoints are left, and discovery has ended")
        }
    }

    impl Error for NoEndpoints {}

    /// All endpoints are out, and [`Health::set_fail_closed`](crate::health::Health::set_fail_closed) says that requests
    /// fail then.
    #[derive(Debug)]
    pub struct NoHealthyEndpoints(pub(crate) ());

    impl fmt::Display for NoHealthyEndpoints {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("no healthy endpoints")
        }
    }

    impl Error for NoHealthyEndpoints {}
}

/// An error of any type.
#[doc(inline)]
pub use tower_util::BoxError;

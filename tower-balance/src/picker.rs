//! Pickers, which choose the endpoint of a request for a [`Balance`](crate::p2c::Balance).
//!
//! A [`Picker`] chooses one of the ready [`Endpoints`]. It does no I/O, and takes time and random numbers from the
//! [`PickContext`], so that the same pickers run in a balancer, in tests and in the simulator (`benches/simulator`).
//!
//! | picker | chooses | use it for |
//! |---|---|---|
//! | [`P2c`] | the less loaded of two drawn at random | most cases |
//! | [`LeastLoaded`] | the endpoint with the lowest load relative to its weight, of two or more drawn at random, or of all | endpoints of different capacity, or few endpoints |
//! | [`RoundRobin`], [`WeightedRoundRobin`] | each endpoint in turn, equally or by weight | requests of equal cost |
//! | [`Random`] | at random, by weight | a baseline |
//! | [`RingHash`], [`MaglevHash`] | by consistent hashing: requests with the same key go to the same endpoint | endpoints with caches |
//! | [`Levels`] | by priority levels and zone-aware routing, then by an inner picker | failover, or several zones |
//! | [`PrequalPicker`] | by the load that servers report in response to probes | many clients, servers on shared machines |
//! | [`AnyPicker`] | like the picker that was selected at run time | pickers from a configuration |
//!
//! The load of an endpoint is its [`Load`](tower_load::Load), and its capacity the
//! [weight](tower_load::Load::relative_weight). `tests/distribution.rs` and the tables of `benches/simulator` show how
//! each picker distributes requests at no, low and high load.
//!
//! # What a failing endpoint receives
//!
//! An endpoint that fails each request immediately never looks busy, and so attracts requests from pickers that use the
//! load:
//!
//! | picker | its share of all requests |
//! |---|---|
//! | [`RoundRobin`], [`WeightedRoundRobin`], [`Random`], [`RingHash`], [`MaglevHash`] | its fair share |
//! | [`RingHash`], [`MaglevHash`] with a bound | at most the bound; a bound of 150 % is 1.5 times its fair share |
//! | [`P2c`] and [`LeastLoaded`] with [`PendingRequests`](tower_load::PendingRequests) | up to twice its fair share, while the others are busy |
//! | [`LeastLoaded::of_all`] with [`PendingRequests`](tower_load::PendingRequests) | nearly all, while all others are busy |
//! | [`P2c`], [`LeastLoaded`] and [`LeastLoaded::of_all`] with [`PeakEwma`](tower_load::PeakEwma) | less than 0.5 %, as probes for its recovery |
//! | [`PrequalPicker`] | nearly none, if the servers report their failures |
//!
//! Within a level, [`Levels`] behaves like its inner picker. With every picker, an endpoint that is ejected
//! (`tower-health`) receives no requests.
//!
//! # A picker of your own
//!
//! This one sends all requests to the ready endpoint with the greatest weight:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use std::convert::Infallible;
//! use tower_balance::p2c::Balance;
//! use tower_balance::picker::{Endpoints, PickContext, Picker};
//! use tower_discover::ServiceList;
//! use tower_load::{Constant, Weighted};
//! use tower_util::{ServiceExt, service_fn};
//!
//! struct Strongest;
//!
//! impl<E: Endpoints, Req> Picker<E, Req> for Strongest {
//!     fn pick<C: PickContext>(&mut self, endpoints: &E, _: Option<&Req>, _: &mut C) -> Option<usize> {
//!         (0..endpoints.ready_len()).max_by_key(|index| endpoints.weight(*index))
//!     }
//! }
//!
//! let endpoints = [("small", 1), ("large", 8), ("medium", 2)].map(|(name, weight)| {
//!     let endpoint = service_fn(move |(): ()| async move { Ok::<_, Infallible>(name) });
//!     Weighted::new(Constant::new(endpoint, 0), weight)
//! });
//! let balance = Balance::with_picker(ServiceList::new::<()>(endpoints), Strongest);
//! assert_eq!(balance.oneshot(()).await.unwrap(), "large");
//! # }
//! ```

mod any;
mod hashing;
mod hints;
mod least_loaded;
mod levels;
mod p2c;
mod prequal;
mod probing;
mod random;
mod round_robin;
mod tried;

use tokio::time::Instant;
use tower_util::rng::Rng;

pub use self::any::AnyPicker;
pub use self::hashing::{MaglevHash, RingHash};
#[doc(hidden)]
pub use self::hints::Hints;
pub use self::least_loaded::LeastLoaded;
pub use self::levels::{Group, Levels, Locality};
pub use self::p2c::P2c;
pub use self::prequal::{PrequalPicker, Probes};
pub use self::probing::ProbeAnswer;
pub use self::random::Random;
pub use self::round_robin::{RoundRobin, WeightedRoundRobin};
pub use self::tried::AvoidTried;

/// The endpoints of a balancer, as a picker sees them.
///
/// A ready endpoint has an index, starting at 0, which is valid until the ready set changes. Each endpoint, ready or
/// not, has an id while it is in the set; ids are small, and are reused.
pub trait Endpoints {
    /// The load of an endpoint; lower is better.
    type Load: PartialOrd;

    /// Returns the number of ready endpoints.
    fn ready_len(&self) -> usize;

    /// Returns a number that changes whenever the ready set or its indices change.
    fn generation(&self) -> u64;

    /// Returns the load of the ready endpoint with this index.
    fn load(&self, index: usize) -> Self::Load;

    /// Returns the weight of the ready endpoint with this index: its capacity, relative to an endpoint of weight 1.
    fn weight(&self, index: usize) -> u32;

    /// Returns the weight of the endpoint with this id, ready or not, or `None` if it is not in the set.
    fn weight_of(&self, id: usize) -> Option<u32>;

    /// Returns the id of the ready endpoint with this index.
    fn id(&self, index: usize) -> usize;

    /// Returns the index of the endpoint with this id, or `None` if it is not ready.
    fn index_of(&self, id: usize) -> Option<usize>;
}

/// Endpoints with names that are the same in each balancer, so that all balancers map a key to the same endpoint.
pub trait Named: Endpoints {
    /// Returns the name and the weight of the endpoint with this id, or `None` if it is not in the set.
    fn name(&self, id: usize) -> Option<(String, u32)>;
}

/// The time and random numbers of a pick.
pub trait PickContext: Rng {
    /// Returns the current time.
    fn now(&mut self) -> Instant;
}

/// Chooses the endpoints of requests.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot pick among these endpoints for requests of type `{Req}`",
    note = "pickers other than `P2c` need a load that converts into `f64`; pickers by hash need keys that are `Display`"
)]
pub trait Picker<E: ?Sized, Req> {
    /// Returns the index of a ready endpoint, or `None` for any of them; an out-of-range index counts as `None`.
    ///
    /// `request` is always `Some` in a picker of your own. `None` is passed only to built-in pickers that do not use the
    /// request; they pick in `poll_ready`.
    fn pick<C: PickContext>(
        &mut self,
        endpoints: &E,
        request: Option<&Req>,
        cx: &mut C,
    ) -> Option<usize>;

    /// Called when a request is sent to the ready endpoint with this index. It may differ from the picked endpoint, if
    /// that one was no longer ready.
    fn sent(&mut self, _endpoints: &E, _index: usize, _request: &Req) {}

    /// Called when the endpoint with this id was added or replaced.
    fn inserted(&mut self, _endpoints: &E, _id: usize) {}

    /// Called when the endpoint with this id was removed.
    fn removed(&mut self, _id: usize) {}

    /// Returns what the picker requires of the balancer. The default, which requires everything, is correct for every
    /// picker.
    #[doc(hidden)]
    fn hints(&self) -> Hints {
        Hints::default()
    }
}

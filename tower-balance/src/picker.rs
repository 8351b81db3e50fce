//! Which endpoint gets a request: the policy of a [`Balance`](crate::p2c::Balance), without I/O.
//!
//! A [`Picker`] sees the [`Endpoints`] that are ready and chooses one. Time and randomness come in through the [`PickContext`],
//! so that the same pickers run in a balancer, in a test and in the simulator (`benches/simulator`).
//!
//! | picker | chooses | use it |
//! |---|---|---|
//! | [`P2c`] | the less loaded of two drawn at random | unless you know better |
//! | [`LeastLoaded`] | the same by weight, out of two or more, or out of all | endpoints of different strength, or few |
//! | [`RoundRobin`], [`WeightedRoundRobin`] | in turn, by weight | requests all alike |
//! | [`Random`] | by chance, by weight | to compare with |
//! | [`RingHash`], [`MaglevHash`] | by a key of the request, always the same endpoint | endpoints with caches |
//! | [`Levels`] | a priority and a zone first, and then as another picker does | spare endpoints, or several zones |
//! | [`PrequalPicker`] | by what the servers say of themselves when probed | many clients, servers that share machines |
//!
//! What the load is, the endpoints say by their [`Load`](tower_load::Load), and how strong they are by its
//! [weight](tower_load::Load::relative_weight). `tests/distribution.rs` and the tables of `benches/simulator` show what each picker
//! gives to each endpoint, at no, low and high load.
//!
//! # What a failing endpoint draws
//!
//! An endpoint that fails each request at once is never busy, and so attracts whoever goes by load:
//!
//! | picker | of all requests |
//! |---|---|
//! | [`RoundRobin`], [`WeightedRoundRobin`], [`Random`], [`RingHash`], [`MaglevHash`] | its share |
//! | the last two, bounded | up to the bound, 1.5 shares for 150 % |
//! | [`P2c`] and [`LeastLoaded`] by [`PendingRequests`](tower_load::PendingRequests) | up to twice its share, while the others are busy |
//! | [`LeastLoaded::of_all`] by the same | nearly all, while all others are busy |
//! | all three by [`PeakEwma`](tower_load::PeakEwma) | less than 0.5 %, to see when it has recovered |
//! | [`PrequalPicker`] | nearly nothing, if the servers tell of their failures |
//!
//! [`Levels`] does within a level as its inner picker does. Ejection ([`health`](crate::health)) takes the endpoint out,
//! whatever the picker.

mod hashing;
mod least_loaded;
mod levels;
mod p2c;
mod prequal;
mod probing;
mod tried;
mod turns;

use tokio::time::Instant;
use tower_util::rng::Rng;

pub use self::hashing::{MaglevHash, RingHash};
pub use self::least_loaded::LeastLoaded;
pub use self::levels::{Group, Levels, Place};
pub use self::p2c::P2c;
pub use self::prequal::{PrequalPicker, Probes};
pub use self::probing::ProbeAnswer;
pub use self::tried::AvoidTried;
pub use self::turns::{Random, RoundRobin, WeightedRoundRobin};

/// The endpoints of a balancer, as a picker sees them.
///
/// Those that are ready have an index, from 0 on, until the set changes. Each endpoint has a number, ready or not, as long as
/// it is here; the numbers are small, and used again.
pub trait Endpoints {
    /// How loaded an endpoint is; less is better.
    type Load: PartialOrd;

    /// How many are ready.
    fn ready_len(&self) -> usize;

    /// A number that is another one whenever the set of the ready ones, or their indices, have changed.
    fn generation(&self) -> u64;

    /// The load of the ready one with this index.
    fn load(&self, index: usize) -> Self::Load;

    /// How strong the ready one with this index is, beside one of weight 1.
    fn weight(&self, index: usize) -> u32;

    /// How strong the endpoint with this number is, ready or not; `None` if it is not here any more.
    fn weight_of(&self, id: usize) -> Option<u32>;

    /// The number of the ready one with this index.
    fn id(&self, index: usize) -> usize;

    /// The index of the endpoint with this number, if it is ready.
    fn index_of(&self, id: usize) -> Option<usize>;
}

/// Endpoints with names: the same in each balancer, so that all map the same key to the same endpoint.
pub trait Named: Endpoints {
    /// The name of the endpoint with this number, and its weight; `None` if it is not here any more.
    fn name(&self, id: usize) -> Option<(String, u32)>;
}

/// Time and randomness.
pub trait PickContext: Rng {
    /// The time.
    fn now(&mut self) -> Instant;
}

/// Chooses endpoints for requests.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot pick among these endpoints for requests of type `{Req}`",
    note = "pickers other than `P2c` need a load that converts into `f64`; pickers by hash need keys that are `Display`"
)]
pub trait Picker<E: ?Sized, Req> {
    /// Whether the choice depends on the request. If it does not, it is made before the request is there, and the endpoint is
    /// asked once more whether it is ready.
    const BY_REQUEST: bool = false;

    /// Whether the choice is made anew when the balancer is polled again before there is a request. If not, it stays as long as
    /// the endpoint is ready.
    const REPICKS: bool = false;

    /// Whether the picker wants to hear of endpoints that come and go.
    const TRACKS: bool = false;

    /// The index of the ready endpoint that gets the request; `None`, or an index that there is not, if there is none. There is a
    /// request if [`BY_REQUEST`](Self::BY_REQUEST) says so; then none of several means any.
    fn pick<C: PickContext>(
        &mut self,
        endpoints: &E,
        request: Option<&Req>,
        cx: &mut C,
    ) -> Option<usize>;

    /// This request goes to the ready endpoint with this index now, if the choice is made [by request](Self::BY_REQUEST). What
    /// was picked may have turned out not to be ready.
    fn sent(&mut self, _endpoints: &E, _index: usize, _request: &Req) {}

    /// The endpoint of this number has come, or is another one now.
    fn inserted(&mut self, _endpoints: &E, _id: usize) {}

    /// The endpoint of this number has gone.
    fn removed(&mut self, _id: usize) {}
}

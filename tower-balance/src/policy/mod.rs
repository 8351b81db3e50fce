//! The algorithms of load balancing, bare: values without clock, task or I/O, for pickers of your own.
//!
//! Endpoints are numbers, 0 to n - 1 for most. The time and the randomness come in as arguments.
//!
//! | you want | use |
//! |---|---|
//! | the same key to the same endpoint, as Envoy and gRPC map it | [`Ring`] |
//! | the same, and no key moved needlessly when endpoints change | [`StableRing`] |
//! | the same, as nginx maps it | `Ketama`, behind the feature `ketama` |
//! | the same, found in one step | [`Maglev`] |
//! | the same with exact shares, few endpoints | [`rendezvous`] |
//! | none of them overloaded by a key in great demand | [`BoundedLoad`] |
//! | turns by weight, many endpoints | [`Stride`] |
//! | turns by weight, exact and smooth, few endpoints | [`SmoothRoundRobin`] |
//! | draws by weight | [`Alias`] |
//! | loads compared by weight | [`least_request`] |
//! | a choice by probes of the servers | [`prequal`] |
//! | a part of the servers for each client, all loaded alike | [`Aperture`] |
//! | a part of the endpoints, as large as the load asks for, without knowing other clients | [`LoadBand`] |
//! | requests kept in the client's zone | [`Zones`] |
//! | other endpoints for when the first are not enough | [`priority`] |
//! | a gentle start for new endpoints | [`SlowStart`] |
//! | a random part of the endpoints, nearly always the same | [`rendezvous::subset`] |
//! | endpoints left out that fail more than others | [`outlier`] |
//! | an endpoint left out by its own failures, then probed | [`accrual`] |

pub mod accrual;
mod alias;
mod aperture;
mod bounded_load;
pub(crate) mod error;
pub mod hash;
#[cfg(feature = "ketama")]
mod ketama;
pub mod least_request;
mod load_band;
mod maglev;
pub mod outlier;
pub mod prequal;
pub mod priority;
pub mod rendezvous;
mod ring;
mod slow_start;
mod smooth;
mod stable_ring;
pub(crate) mod stride;
mod zone;

pub use self::alias::Alias;
pub use self::aperture::Aperture;
pub use self::bounded_load::BoundedLoad;
pub use self::error::InvalidPolicy;
#[cfg(feature = "ketama")]
pub use self::ketama::Ketama;
pub use self::load_band::LoadBand;
pub use self::maglev::Maglev;
pub use self::ring::{Ring, Walk};
pub use self::slow_start::SlowStart;
pub use self::smooth::SmoothRoundRobin;
pub use self::stable_ring::StableRing;
pub use self::stride::{Stride, ZeroWeight};
pub use self::zone::Zones;

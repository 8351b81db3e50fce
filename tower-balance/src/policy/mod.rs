//! Load balancing algorithms, as plain values without clock, tasks or I/O, for your own pickers.
//!
//! Endpoints are identified by numbers, usually 0 to n - 1. Time and random numbers are arguments.
//!
//! | task | use |
//! |---|---|
//! | consistent hashing, compatible with Envoy and gRPC | [`Ring`] |
//! | consistent hashing that moves only the keys that have to move | [`StableRing`] |
//! | consistent hashing, compatible with nginx | `Ketama`, behind the feature `ketama` |
//! | consistent hashing with constant-time lookup | [`Maglev`] |
//! | bounding the load of endpoints with hot keys | [`BoundedLoad`] |
//! | weighted round robin | [`Stride`] |
//! | weighted random draws | [`Alias`] |
//! | comparing loads by weight | [`least_request`] |
//! | choosing by probes of the servers | [`prequal`] |
//! | subsets that load all servers equally | [`Aperture`] |
//! | subsets whose size follows the client's load | [`LoadBand`] |
//! | zone-aware routing | [`Zones`] |
//! | priority levels, with overflow to the next | [`priority`] |

mod alias;
mod aperture;
mod bounded_load;
pub mod hash;
#[cfg(feature = "ketama")]
mod ketama;
pub mod least_request;
mod load_band;
mod maglev;
pub mod prequal;
pub mod priority;
mod ring;
mod stable_ring;
pub(crate) mod stride;
mod zone;

pub use self::alias::Alias;
pub use self::aperture::Aperture;
pub use self::bounded_load::BoundedLoad;
#[cfg(feature = "ketama")]
pub use self::ketama::Ketama;
pub use self::load_band::LoadBand;
pub use self::maglev::Maglev;
pub use self::ring::{Ring, Walk};
pub use self::stable_ring::StableRing;
pub use self::stride::{Stride, ZeroWeight};
pub use self::zone::Zones;
#[doc(inline)]
pub use tower_util::InvalidPolicy;

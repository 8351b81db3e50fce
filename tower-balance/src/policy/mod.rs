//! The algorithms of load balancing, bare: values without clock, task or I/O, for pickers of your own.
//!
//! Endpoints are numbers, 0 to n - 1 for most. The time and the randomness come in as arguments.
//!
//! | you want | use |
//! |---|---|
//! | the same key to the same endpoint, as Envoy and gRPC map it | [`Ring`] |
//! | the same, and no key moved needlessly when endpoints change | [`StableRing`] |

mod error;
pub mod hash;
mod ring;
mod stable_ring;

pub use self::error::InvalidPolicy;
pub use self::ring::{Ring, Walk};
pub use self::stable_ring::StableRing;

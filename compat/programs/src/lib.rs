//! Doc tests of the facade's guides that need axum or tonic. The other programs are in `tests`.

#[doc = include_str!("../../../tower/src/guide/axum.md")]
pub mod axum {}

#[doc = include_str!("../../../tower/src/guide/gateway.md")]
pub mod gateway {}

#[doc = include_str!("../../../tower/src/guide/tonic.md")]
pub mod tonic {}

//! The messages of `grpc.health.v1`, as prost-build generates them from `health.proto` in github.com/grpc/grpc-proto.
//!
//! Not those of tonic-health: tonic and axum, which it depends on, depend on `tower`, so that `tower` could not depend on
//! them.

/// Asks for the health of a service.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HealthCheckRequest {
    /// The name of the service; empty for the server as a whole.
    #[prost(string, tag = "1")]
    pub(super) service: String,
}

/// Says how a service does.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct HealthCheckResponse {
    #[prost(enumeration = "ServingStatus", tag = "1")]
    pub(super) status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum ServingStatus {
    Unknown = 0,
    Serving = 1,
    NotServing = 2,
    /// Only in the answers of `Watch`.
    ServiceUnknown = 3,
}

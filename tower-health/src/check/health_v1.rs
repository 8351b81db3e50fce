//! The messages of `grpc.health.v1`, as prost-build generates them from `health.proto` in github.com/grpc/grpc-proto.
//!
//! Those of tonic-health cannot be used: it depends on tonic and axum, which depend on `tower`, so `tower` cannot
//! depend on it.

/// Requests the health of a service.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HealthCheckRequest {
    /// The name of the service; empty for the server as a whole.
    #[prost(string, tag = "1")]
    pub(super) service: String,
}

/// The health of a service.
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
    /// Only in responses to `Watch`.
    ServiceUnknown = 3,
}

use bytes::Bytes;
use http_body::Body;
use tower::BoxError;

/// The body of a request that can be sent to an endpoint. Implemented for every type that satisfies the bounds.
pub trait Payload: Body<Data = Bytes, Error = BoxError> + Unpin + Send + 'static {}

impl<B: Body<Data = Bytes, Error = BoxError> + Unpin + Send + 'static> Payload for B {}

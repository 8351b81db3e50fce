use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Response, Uri, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use prost::Message;
use tower_classify::http::Code;
use tower_service::Service;

use super::Verdict;
use super::health_v1::{HealthCheckRequest, HealthCheckResponse, ServingStatus};
use crate::BoxError;

/// A health check over gRPC: calls `grpc.health.v1.Health/Check`.
///
/// | response | verdict |
/// |---|---|
/// | `SERVING`, or status UNIMPLEMENTED: the endpoint has no health checks (as in gRFC A17) | [`Healthy`](Verdict::Healthy) |
/// | any other serving status, or status NOT_FOUND: the endpoint does not know the service | [`Unhealthy`](Verdict::Unhealthy) |
/// | anything else | an error, which counts as [`Failing`](Verdict::Failing) |
///
/// The service `connect` returns the channel for the key of an endpoint, which may be new or shared: a service that
/// takes HTTP/2 requests, such as a tonic channel or a hyper client.
#[derive(Clone, Debug)]
pub struct GrpcCheck<C> {
    connect: C,
    uri: Uri,
    message: Bytes,
}

/// The health of the endpoint could not be determined.
#[derive(Debug)]
#[non_exhaustive]
pub enum GrpcCheckError {
    /// The call failed with this gRPC status; `None` if the response had no gRPC status.
    Status(Option<Code>),
    /// The message is not a valid health check response.
    Malformed,
}

impl<C> GrpcCheck<C> {
    /// Creates a check of the named service, or of the server as a whole if the name is empty. Requests are sent over
    /// the channels of `connect`, with the scheme and authority of `uri`; its path is replaced.
    ///
    /// # Errors
    ///
    /// If `uri` has a scheme but no authority, or an authority but no scheme.
    pub fn new(connect: C, uri: Uri, service: &str) -> Result<Self, http::Error> {
        let mut parts = uri.into_parts();
        parts.path_and_query = Some(http::uri::PathAndQuery::from_static(PATH));
        Ok(Self {
            connect,
            uri: Uri::from_parts(parts)?,
            message: encode(&HealthCheckRequest {
                service: service.to_owned(),
            }),
        })
    }
}

impl<C, K, S, B> Service<K> for GrpcCheck<C>
where
    C: Service<K, Response = S>,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Into<BoxError>>
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Error: Into<BoxError>> + Send + 'static,
    B::Data: Send,
{
    type Response = Verdict;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Verdict, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let result = ready!(self.connect.poll_ready(cx));
        Poll::Ready(result.map_err(Into::into))
    }

    fn call(&mut self, key: K) -> Self::Future {
        let channel = self.connect.call(key);
        let request = request(self.uri.clone(), self.message.clone());
        Box::pin(async move {
            let mut channel = channel.await.map_err(Into::into)?;
            std::future::poll_fn(|cx| channel.poll_ready(cx))
                .await
                .map_err(Into::into)?;
            let response = channel.call(request).await.map_err(Into::into)?;
            judge(response).await
        })
    }
}

impl fmt::Display for GrpcCheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(Some(status)) => {
                write!(f, "the health check failed with gRPC status {status}")
            }
            Self::Status(None) => f.write_str("the health check response is not gRPC"),
            Self::Malformed => f.write_str("the health check response is malformed"),
        }
    }
}

impl std::error::Error for GrpcCheckError {}

fn request(uri: Uri, message: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(message));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    *request.version_mut() = http::Version::HTTP_2;
    let headers = request.headers_mut();
    let grpc = HeaderValue::from_static("application/grpc");
    headers.insert(header::CONTENT_TYPE, grpc);
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    request
}

/// Encodes an uncompressed gRPC message, prefixed with its length.
fn encode(message: &impl Message) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(message.encoded_len() as u32);
    frame.put_slice(&message.encode_to_vec());
    frame.freeze()
}

async fn judge<B>(response: Response<B>) -> Result<Verdict, BoxError>
where
    B: Body<Error: Into<BoxError>>,
{
    let (head, body) = response.into_parts();
    let body = Limited::new(body, MOST_BYTES).collect().await?;
    let trailers = body.trailers().and_then(Code::of);
    match trailers.or_else(|| Code::of(&head.headers)) {
        Some(Code::Ok) => {}
        Some(Code::Unimplemented) => return Ok(Verdict::Healthy),
        // The endpoint does not know the service.
        Some(Code::NotFound) => return Ok(Verdict::Unhealthy),
        status => return Err(GrpcCheckError::Status(status).into()),
    }
    let response: HealthCheckResponse = decode(body.to_bytes()).ok_or(GrpcCheckError::Malformed)?;
    match response.status() {
        ServingStatus::Serving => Ok(Verdict::Healthy),
        _ => Ok(Verdict::Unhealthy),
    }
}

/// Decodes the only message of a gRPC response. Returns `None` if it is compressed, or if its length prefix is wrong.
fn decode<M: Message + Default>(mut frame: Bytes) -> Option<M> {
    let compressed = frame.try_get_u8().ok()?;
    let length = frame.try_get_u32().ok()?;
    if compressed != 0 || usize::try_from(length).ok()? != frame.len() {
        return None;
    }
    M::decode(frame).ok()
}

const PATH: &str = "/grpc.health.v1.Health/Check";
/// A valid response has seven bytes.
const MOST_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(service: &str) -> Bytes {
        encode(&HealthCheckRequest {
            service: service.to_owned(),
        })
    }

    fn status_in(frame: &[u8]) -> Option<i32> {
        decode(Bytes::copy_from_slice(frame)).map(|response: HealthCheckResponse| response.status)
    }

    #[test]
    fn messages_are_encoded_as_in_protobuf() {
        assert_eq!(*request(""), [0; 5]);
        assert_eq!(*request("a.B"), *b"\0\0\0\0\x05\x0a\x03a.B");
        let long = request(&"x".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
        let serving = ServingStatus::Serving as i32;
        assert_eq!(status_in(&[0, 0, 0, 0, 2, 8, 1]), Some(serving));
        assert_eq!(status_in(&[0, 0, 0, 0, 0]), Some(0));
        for malformed in [
            &[0, 0, 0, 0, 2, 8][..],
            &[1, 0, 0, 0, 2, 8, 1],
            &[0, 0],
            &[],
        ] {
            assert_eq!(status_in(malformed), None, "{malformed:?}");
        }
    }

    /// A later version of the service may add fields.
    #[test]
    fn unknown_fields_are_skipped() {
        let frame = [0, 0, 0, 0, 5, 8, 1, 0x12, 1, b'x'];
        assert_eq!(status_in(&frame), Some(ServingStatus::Serving as i32));
    }

    proptest! {
        #[test]
        fn decoding_never_panics(frame: Vec<u8>) {
            let status = status_in(&frame);
            prop_assert!(status.is_none() || frame.len() >= 5);
        }
    }
}

use std::future::{Future, poll_fn};
use std::task::Poll;

use http::Response;

use super::{UpstreamBody, UpstreamError};
use crate::framing;

/// A response whose head and first frame, if that has come already, are as they should be.
pub(super) async fn checked(
    sent: impl Future<Output = Result<Response<UpstreamBody>, UpstreamError>>,
) -> Result<Response<UpstreamBody>, UpstreamError> {
    let mut response = sent.await?;
    framing::check_response(&mut response).map_err(UpstreamError::BadAnswer)?;
    // What broke together with the head is an error while there still can be one.
    poll_fn(|cx| match response.body_mut().poll_first(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(UpstreamError::Interrupted(error))),
        Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(())),
    })
    .await?;
    Ok(response)
}

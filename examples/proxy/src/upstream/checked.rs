use std::future::poll_fn;
use std::task::Poll;

use http::Response;

use super::{UpstreamBody, UpstreamError};
use crate::framing;

/// Looks at a response's head, and at its first frame if that has come already.
pub(super) async fn checked(
    mut response: Response<UpstreamBody>,
) -> Result<Response<UpstreamBody>, UpstreamError> {
    framing::check_response(&mut response).map_err(UpstreamError::BadAnswer)?;
    // What broke together with the head is an error while there still can be one.
    poll_fn(|cx| match response.body_mut().poll_first(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(UpstreamError::Interrupted(error))),
        Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(())),
    })
    .await?;
    Ok(response)
}

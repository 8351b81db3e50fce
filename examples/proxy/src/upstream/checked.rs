use std::task::{Context, Poll};

use http::Response;

use super::{Payload, UpstreamBody, UpstreamError};
use crate::transport::framing;

/// Looks at a response's head, and at its first frame if that has come already.
pub(super) fn check<B: Payload>(
    response: &mut Response<UpstreamBody<B>>,
    cx: &mut Context<'_>,
) -> Result<(), UpstreamError> {
    framing::check_response(response).map_err(UpstreamError::BadAnswer)?;
    // What broke together with the head is an error while there still can be one.
    match response.body_mut().poll_first(cx) {
        Poll::Ready(Err(error)) => Err(UpstreamError::Interrupted(error)),
        Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
    }
}

use std::task::{Context, Poll};

use http::Response;

use super::{Payload, UpstreamBody, UpstreamError};
use crate::transport::framing;

/// Checks a response's head, and its first frame if that has arrived already.
pub(super) fn check<B: Payload>(
    response: &mut Response<UpstreamBody<B>>,
    cx: &mut Context<'_>,
) -> Result<(), UpstreamError> {
    framing::check_response(response).map_err(UpstreamError::BadAnswer)?;
    // A failure that arrives together with the head is still returned as an error, as long as that is possible.
    match response.body_mut().poll_first(cx) {
        Poll::Ready(Err(error)) => Err(UpstreamError::Interrupted(error)),
        Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
    }
}

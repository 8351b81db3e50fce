//! Sending a request on a connection, and returning its response with a body that holds the connection until it ends.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;

use http::{Request, Response};

use super::checked::check;
use super::track::Hold;
use super::{Multiplexed, Payload, Pool, SentBody, UpstreamBody, UpstreamError, http1};
use crate::transport::{framing, headers};

impl<B: Payload> Pool<B> {
    pub(super) fn send(
        &self,
        request: Request<B>,
    ) -> impl Future<Output = Result<Response<UpstreamBody<B>>, UpstreamError>> + Send + use<B>
    {
        let shared = Arc::clone(&self.shared);
        // Not in the block, in whose future both would have room.
        let mut request = SentBody::of(request);
        async move {
            let upload = request.body().upload();
            loop {
                let (mut connection, reused) = match shared.take() {
                    Some(connection) => (connection, true),
                    // Boxed, since it is large and rare: most requests find an idle connection.
                    None => Box::pin(shared.obtain()).await?,
                };
                // If this future is dropped meanwhile, so is the connection.
                match connection.sender.try_send_request(request).await {
                    Ok(response) => {
                        shared.state.answered();
                        let max_trailers = shared.connect.heads.size;
                        let lease = http1::Lease {
                            shared,
                            connection,
                            reusable: framing::is_reusable(&response),
                            upload,
                        };
                        let lease = Hold::Http1(lease);
                        let mut response = UpstreamBody::of(response, lease, max_trailers);
                        poll_fn(|cx| Poll::Ready(check(&mut response, cx))).await?;
                        return Ok(response);
                    }
                    Err(mut failure) => match failure.take_message() {
                        // The peer had closed the idle connection: retry on the next one, or finally on a new one.
                        Some(unsent) if reused => request = unsent,
                        Some(_) => return Err(UpstreamError::Unsent(failure.into_error())),
                        None => {
                            let error = failure.into_error();
                            return Err(UpstreamError::sent(error, upload.as_deref()));
                        }
                    },
                }
            }
        }
    }
}

impl<B: Payload> Multiplexed<B> {
    pub(super) fn send(
        &self,
        request: Request<B>,
    ) -> impl Future<Output = Result<Response<UpstreamBody<B>>, UpstreamError>> + Send + use<B>
    {
        let shared = Arc::clone(&self.shared);
        // Not in the block, in whose future both would have room.
        let request = SentBody::of(request);
        async move {
            // If this future is dropped meanwhile, the request's upload is aborted.
            let mut lease = match shared.take_near() {
                Some(lease) => lease,
                // Boxed, since it is large and rare: most requests find a connection that has room.
                None => Box::pin(shared.obtain()).await?,
            };
            lease.upload = request.body().upload();
            let mut sent =
                std::pin::pin!(lease.connection.sender.clone().try_send_request(request));
            let response = poll_fn(|cx| match sent.as_mut().poll(cx) {
                Poll::Pending => lease.poll_stalled(cx).map(Err),
                Poll::Ready(Ok(response)) => {
                    shared.state.answered();
                    Poll::Ready(Ok(response))
                }
                Poll::Ready(Err(mut failure)) => Poll::Ready(Err(match failure.take_message() {
                    Some(_) => UpstreamError::Unsent(failure.into_error()),
                    None => UpstreamError::sent(failure.into_error(), lease.upload()),
                })),
            });
            let response = response.await?;
            let most = shared.connect.heads.size;
            if headers::size(response.headers()) > most {
                return Err(UpstreamError::HeadTooLarge);
            }
            let mut response = UpstreamBody::of(response, Hold::Http2(lease), most);
            poll_fn(|cx| Poll::Ready(check(&mut response, cx))).await?;
            Ok(response)
        }
    }
}

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use tower::BoxError;

use super::Payload;
use crate::transport::limits::Limits;
use crate::transport::stall;
use crate::transport::upload::{BodyError, Upload};

/// The body of one attempt, while it is sent to an endpoint.
///
/// hyper polls it. It [tells](stall::handed) the task that sends it how long hyper may delay the next poll.
#[derive(Debug)]
pub struct SentBody<B> {
    body: B,
    upload: Option<Arc<Upload>>,
    /// Whether the sending task was told to come back for the next frame.
    awaited: bool,
}

impl<B: Payload> SentBody<B> {
    /// Wraps the request's body, which the endpoint may delay within the [`Limits`] in the extensions.
    pub fn of(request: Request<B>) -> Request<Self> {
        let upload = (!request.body().is_end_stream()).then(|| {
            let limits: Option<&Limits> = request.extensions().get();
            Arc::new(Upload::within(limits.copied().unwrap_or_default()))
        });
        request.map(|body| Self {
            body,
            upload,
            awaited: false,
        })
    }

    /// Returns the state of the upload, or `None` if the body is empty.
    pub fn upload(&self) -> Option<Arc<Upload>> {
        self.upload.clone()
    }

    fn tell(&self, over: impl FnOnce(&Upload)) {
        if let Some(upload) = &self.upload {
            over(upload);
        }
    }
}

impl<B: Payload> Body for SentBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if std::mem::take(&mut self.awaited) {
            stall::waits();
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(_)) => {
                if self.body.is_end_stream() {
                    self.tell(Upload::sent);
                }
                // The last frame as well waits until the endpoint reads it.
                if let Some(upload) = &self.upload {
                    stall::handed(upload.limits(), Some(upload));
                    self.awaited = true;
                }
            }
            Some(Err(_)) => {}
            None => self.tell(Upload::sent),
        }
        Poll::Ready(frame.map(|frame| {
            frame.map_err(|error| {
                let error = BodyError::new(error);
                self.tell(|upload| upload.failed(error.clone()));
                error.into()
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for SentBody<B> {
    fn drop(&mut self) {
        if self.awaited {
            stall::waits();
        }
    }
}

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::BoxError;
use crate::error::Injected;

pin_project! {
    /// The body of a response, which breaks off after a number of bytes if a fault was injected.
    ///
    /// It fails with [`Injected`], and then ends. A shorter body ends as it is. The size hint is that of the whole body, so that a
    /// server announces it.
    #[derive(Debug)]
    pub struct FaultBody<B> {
        // `None` in place of the response of a request that was not sent.
        #[pin]
        inner: Option<B>,
        left: Left,
    }
}

#[derive(Clone, Copy, Debug)]
enum Left {
    All,
    Bytes(u64),
    /// The bytes were returned, and there were more of them.
    Cut,
    /// The error was returned.
    Nothing,
}

impl<B> FaultBody<B> {
    pub(super) const fn new(inner: B, bytes: Option<u64>) -> Self {
        let left = match bytes {
            Some(bytes) => Left::Bytes(bytes),
            None => Left::All,
        };
        Self {
            inner: Some(inner),
            left,
        }
    }

    pub(super) const fn empty() -> Self {
        Self {
            inner: None,
            left: Left::All,
        }
    }
}

impl<B> Body for FaultBody<B>
where
    B: Body<Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            return Poll::Ready(None);
        };
        let breaks_off = match *this.left {
            Left::Nothing => return Poll::Ready(None),
            Left::Cut => true,
            Left::Bytes(0) => !inner.is_end_stream(),
            Left::Bytes(_) | Left::All => false,
        };
        if breaks_off {
            *this.left = Left::Nothing;
            return Poll::Ready(Some(Err(Injected::new().into())));
        }
        let Some(frame) = ready!(inner.poll_frame(cx)) else {
            return Poll::Ready(None);
        };
        let frame = frame.map_err(Into::into)?;
        Poll::Ready(Some(Ok(frame.map_data(|mut data| {
            let mut length = data.remaining();
            if let Left::Bytes(left) = *this.left {
                let kept = usize::try_from(left).map_or(length, |left| left.min(length));
                *this.left = match kept < length {
                    true => Left::Cut,
                    false => Left::Bytes(left - kept as u64),
                };
                length = kept;
            }
            // Of `Bytes`, a slice.
            data.copy_to_bytes(length)
        }))))
    }

    fn is_end_stream(&self) -> bool {
        match (&self.inner, self.left) {
            (None, _) | (_, Left::Nothing) => true,
            (_, Left::Cut) => false,
            (Some(inner), _) => inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => inner.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

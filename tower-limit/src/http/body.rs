use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of a response, with the request's permit `P` until it ends.
    pub struct HoldBody<B, P> {
        #[pin]
        inner: B,
        permit: Option<P>,
    }
}

impl<B: Body, P> HoldBody<B, P> {
    pub(super) fn new(inner: B, permit: Option<P>) -> Self {
        let permit = permit.filter(|_| !inner.is_end_stream());
        Self { inner, permit }
    }
}

impl<B, P> HoldBody<B, P> {
    /// Returns a reference to the inner body.
    pub const fn get_ref(&self) -> &B {
        &self.inner
    }

    /// Returns the inner body, and returns the permit.
    pub fn into_inner(self) -> B {
        self.inner
    }
}

impl<B: Body, P> Body for HoldBody<B, P> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        // A reader that knows the end may not poll again.
        if !matches!(frame, Some(Ok(_))) || this.inner.is_end_stream() {
            *this.permit = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: Default, P> Default for HoldBody<B, P> {
    /// A default body without a permit.
    fn default() -> Self {
        Self {
            inner: B::default(),
            permit: None,
        }
    }
}

impl<B: fmt::Debug, P> fmt::Debug for HoldBody<B, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HoldBody")
            .field("inner", &self.inner)
            .field("holds", &self.permit.is_some())
            .finish()
    }
}

//! Keeps the disconnect of a client from counting as a failure of the endpoint that it waited for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower::health::withdrawn;

pin_project! {
    /// The future of a response. Dropping it before the response is ready means that the client has disconnected.
    #[derive(Debug)]
    pub(super) struct Withdraw<F> {
        // `None` once it is ready.
        #[pin]
        answer: Option<F>,
    }

    impl<F> PinnedDrop for Withdraw<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.answer.is_some() {
                withdrawn(|| this.answer.set(None));
            }
        }
    }
}

impl<F> Withdraw<F> {
    /// Wraps `answer`. If it is dropped, its requests in flight do not count as failures of their endpoints.
    pub(super) const fn new(answer: F) -> Self {
        Self {
            answer: Some(answer),
        }
    }
}

impl<F: Future> Future for Withdraw<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let answer = this.answer.as_mut().as_pin_mut();
        let answered = ready!(answer.expect("polled after it was ready").poll(cx));
        this.answer.set(None);
        Poll::Ready(answered)
    }
}

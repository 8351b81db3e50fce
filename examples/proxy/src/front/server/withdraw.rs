//! A client that goes away is not the fault of the endpoint that it waited for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower::health::withdrawn;

pin_project! {
    /// The answer to a client. Dropped before it is there, the client has gone away.
    #[derive(Debug)]
    pub(super) struct Withdraw<F> {
        // `None` once it is answered.
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
    /// Requests that are in flight for `answer` do not count as failures of their endpoints if it is dropped.
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

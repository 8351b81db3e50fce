//! What happens on a client's connection, as its socket and its requests tell it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use futures_util::task::AtomicWaker;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::interim::Exchange;
use super::lifetime::Seen;

/// Shared by a connection, its socket and its requests.
#[derive(Debug, Default)]
pub(super) struct Activity {
    active: AtomicUsize,
    served: AtomicBool,
    read: AtomicBool,
    wrote: AtomicBool,
    http2: AtomicBool,
    writing: AtomicBool,
    given_up: AtomicBool,
    /// The connection's task, for requests of HTTP/2, which end in tasks of their own.
    task: AtomicWaker,
}

impl Activity {
    /// A request has begun, and lasts as long as the guard.
    pub(super) fn begin(self: &Arc<Self>) -> Active {
        self.active.fetch_add(1, Ordering::Relaxed);
        self.served.store(true, Ordering::Relaxed);
        Active(Arc::clone(self))
    }

    pub(super) fn read(&self) {
        self.read.store(true, Ordering::Relaxed);
    }

    /// Of HTTP/2, what is no longer than a few small frames is not taken for a response.
    pub(super) fn wrote(&self, bytes: usize) {
        if bytes > SMALL || !self.http2.load(Ordering::Relaxed) {
            self.wrote.store(true, Ordering::Relaxed);
        }
    }

    /// Whether bytes wait for the client to take them.
    pub(super) fn writes(&self, waits: bool) {
        self.writing.store(waits, Ordering::Relaxed);
    }

    pub(super) fn is_http2(&self) {
        self.http2.store(true, Ordering::Relaxed);
    }

    pub(super) fn speaks_http2(&self) -> bool {
        self.http2.load(Ordering::Relaxed)
    }

    /// The client is not waited for any more.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// What was seen since the last time. The task is woken when the last request of HTTP/2 ends.
    pub(super) fn seen(&self, cx: &Context<'_>) -> Seen {
        let http2 = self.http2.load(Ordering::Relaxed);
        if http2 {
            self.task.register(cx.waker());
        }
        Seen {
            active: self.active.load(Ordering::Acquire) > 0,
            served: self.served.swap(false, Ordering::Relaxed),
            read: self.read.swap(false, Ordering::Relaxed),
            wrote: self.wrote.swap(false, Ordering::Relaxed),
            writing: self.writing.load(Ordering::Relaxed),
            http2,
        }
    }
}

/// A request in flight.
#[derive(Debug)]
pub(super) struct Active(Arc<Activity>);

impl Drop for Active {
    fn drop(&mut self) {
        let last = self.0.active.fetch_sub(1, Ordering::AcqRel) == 1;
        // Over HTTP/1.1 it is the connection's own task that drops it.
        if last && self.0.http2.load(Ordering::Relaxed) {
            self.0.task.wake();
        }
    }
}

pin_project! {
    /// The answer to a request, which is in flight until its body is dropped. It waits until the interim answers before it are
    /// written.
    ///
    /// As an `async` block it would have room for the future twice, and hyper moves it.
    #[derive(Debug)]
    pub(super) struct Answer<F: Future> {
        #[pin]
        inner: F,
        // It is there, and what comes before it is not yet written.
        held: Option<Box<F::Output>>,
        exchange: Option<Exchange>,
        active: Option<Active>,
    }
}

impl<F: Future> Answer<F> {
    pub(super) const fn new(inner: F, exchange: Option<Exchange>, active: Active) -> Self {
        Self {
            inner,
            held: None,
            exchange,
            active: Some(active),
        }
    }
}

impl<F: Future<Output = Response<B>>, B> Future for Answer<F> {
    type Output = Result<Response<ActiveBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match this.held.take() {
            Some(held) => *held,
            None => ready!(this.inner.poll(cx)),
        };
        if let Some(exchange) = this.exchange
            && exchange.poll_finish(cx).is_pending()
        {
            *this.held = Some(Box::new(response));
            return Poll::Pending;
        }
        let active = this.active.take();
        Poll::Ready(Ok(response.map(|inner| ActiveBody { inner, active })))
    }
}

pin_project! {
    /// The body of a response, whose request is in flight until it is dropped.
    #[derive(Debug)]
    pub(super) struct ActiveBody<B> {
        #[pin]
        inner: B,
        active: Option<Active>,
    }
}

impl<B: Body> Body for ActiveBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A ping, its answer, settings and resets, with some to spare.
const SMALL: usize = 128;

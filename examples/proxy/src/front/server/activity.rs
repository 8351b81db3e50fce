//! What happens on a client's connection, as reported by its socket and its requests.

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

/// The state shared by a connection, its socket and its requests.
#[derive(Debug, Default)]
pub(super) struct Activity {
    active: AtomicUsize,
    served: AtomicBool,
    read: AtomicBool,
    wrote: AtomicBool,
    http2: AtomicBool,
    writing: AtomicBool,
    given_up: AtomicBool,
    /// The number of bytes received since the last request began or was in flight: over HTTP/1.1 those of a head.
    head: AtomicUsize,
    /// The connection's task, which must be woken by HTTP/2 requests, as these end in tasks of their own.
    task: AtomicWaker,
}

impl Activity {
    /// Counts a request as in flight until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Active {
        self.active.fetch_add(1, Ordering::Relaxed);
        self.served.store(true, Ordering::Relaxed);
        self.head.store(0, Ordering::Relaxed);
        Active(Arc::clone(self))
    }

    /// Reports bytes received.
    pub(super) fn read(&self, bytes: usize) {
        self.read.store(true, Ordering::Relaxed);
        let head = match self.active.load(Ordering::Relaxed) {
            0 => self.head().saturating_add(bytes),
            _ => 0,
        };
        self.head.store(head, Ordering::Relaxed);
    }

    /// Returns how many bytes of the next head have been received over HTTP/1.1, or more.
    pub(super) fn head(&self) -> usize {
        self.head.load(Ordering::Relaxed)
    }

    /// Reports bytes written. Over HTTP/2, writes no longer than a few control frames do not count as a response.
    pub(super) fn wrote(&self, bytes: usize) {
        if bytes > SMALL || !self.http2.load(Ordering::Relaxed) {
            self.wrote.store(true, Ordering::Relaxed);
        }
    }

    /// Sets whether bytes wait for the client to read.
    pub(super) fn writes(&self, waits: bool) {
        self.writing.store(waits, Ordering::Relaxed);
    }

    pub(super) fn is_http2(&self) {
        self.http2.store(true, Ordering::Relaxed);
    }

    pub(super) fn speaks_http2(&self) -> bool {
        self.http2.load(Ordering::Relaxed)
    }

    /// Gives up on the client.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Returns what was seen since the last call. The task is woken when the last HTTP/2 request ends.
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
        // Over HTTP/1.1 the connection's own task drops it.
        if last && self.0.http2.load(Ordering::Relaxed) {
            self.0.task.wake();
        }
    }
}

pin_project! {
    /// The future of a response, whose request is in flight until the body is dropped. The response is held back until
    /// the interim responses before it are written.
    ///
    /// An `async` block would store the inner future twice, and hyper moves it.
    #[derive(Debug)]
    pub(super) struct Answer<F: Future> {
        #[pin]
        inner: F,
        // The response, while the interim responses before it are not yet written.
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
    /// A response body whose request is in flight until it is dropped.
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

/// The size in bytes of PING, SETTINGS, RST_STREAM and their acknowledgements, with some reserve.
const SMALL: usize = 128;

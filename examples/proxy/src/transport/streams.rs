//! The streams of an HTTP/2 connection, polled by the connection's own task.
//!
//! hyper spawns a future for each stream, and one for each upload. As separate tasks they would wake the connection's
//! task one after the other; here all that are ready are polled first, and what they send is written together.
//!
//! A stream ends if its peer does not read, as [`StallTimeout`] says; dropping it resets it.

use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::poll_clock;
use super::stall::StallTimeout;
use super::upload::Upload;
use crate::lock::lock;

/// The queue of new streams for the connection's task. Clones share the queue.
#[derive(Clone, Default)]
pub struct NewStreams(Arc<Mutex<Vec<Stream>>>);

/// The streams of one connection.
#[derive(Default)]
pub struct Streams {
    new: NewStreams,
    all: FuturesUnordered<Stream>,
}

/// One stream.
struct Stream {
    inner: StallTimeout<Guarded>,
    /// Ends the stream when it is aborted.
    upload: Option<Arc<Upload>>,
}

/// A stream's future, whose panic affects no other. It is boxed by itself, since it is large and would be moved.
struct Guarded(Option<Pin<Box<dyn PollGuarded + Send>>>);

/// Any future, whose panic ends it.
trait PollGuarded {
    fn poll_guarded(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;
}

impl NewStreams {
    /// Makes the connection's task poll `stream`. Must be called in that task, which is not woken.
    pub fn push<F>(&self, stream: F)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let inner = StallTimeout::new(Guarded(Some(Box::pin(stream))));
        let upload = None;
        self.lock().push(Stream { inner, upload });
    }

    /// Like [`push`](Self::push), for a stream whose body was polled on this thread just before and continues in
    /// `stream`. It also ends when the upload of that body is aborted.
    pub fn push_begun<F>(&self, stream: F)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (inner, upload) = StallTimeout::adopting(Guarded(Some(Box::pin(stream))));
        self.lock().push(Stream { inner, upload });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Stream>> {
        lock(&self.0)
    }
}

impl Streams {
    /// Returns the queue for its new streams.
    pub fn new_streams(&self) -> NewStreams {
        self.new.clone()
    }

    /// Drives the connection of these streams until it ends.
    pub async fn drive<C: Future>(&mut self, connection: C) -> C::Output {
        let mut connection = std::pin::pin!(connection);
        poll_fn(|cx| {
            poll_clock::during(|| {
                // Streams first, as the connection writes what they send.
                self.poll(cx);
                let polled = connection.as_mut().poll(cx);
                self.poll_new(cx);
                polled
            })
        })
        .await
    }

    /// Drives the streams until all have ended.
    pub async fn finish(&mut self) {
        poll_fn(|cx| {
            self.poll(cx);
            self.poll_new(cx);
            match self.all.is_empty() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    /// Polls the streams that are ready.
    pub fn poll(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(())) = self.all.poll_next_unpin(cx) {}
    }

    /// Polls the streams that are new.
    pub fn poll_new(&mut self, cx: &mut Context<'_>) {
        loop {
            let new = std::mem::take(&mut *self.new.lock());
            if new.is_empty() {
                return;
            }
            self.all.extend(new);
            self.poll(cx);
        }
    }
}

impl Future for Stream {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(upload) = &self.upload
            && upload.poll_given_up(cx).is_ready()
        {
            return Poll::Ready(());
        }
        Pin::new(&mut self.inner).poll(cx).map(|_| ())
    }
}

impl Future for Guarded {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let polled = match &mut self.0 {
            Some(stream) => stream.as_mut().poll_guarded(cx),
            None => Poll::Ready(()),
        };
        if polled.is_ready() {
            // Here, so that the bodies that it drops belong to this poll.
            self.0 = None;
        }
        polled
    }
}

impl<F: Future> PollGuarded for F {
    fn poll_guarded(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // A stream that panics is dropped, and not polled again.
        match catch_unwind(AssertUnwindSafe(|| self.poll(cx).is_ready())) {
            Ok(false) => Poll::Pending,
            Ok(true) | Err(_) => Poll::Ready(()),
        }
    }
}

impl fmt::Debug for NewStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewStreams").finish_non_exhaustive()
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams")
            .field("all", &self.all.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    async fn poll_once(streams: &mut Streams) {
        poll_fn(|cx| {
            streams.poll(cx);
            streams.poll_new(cx);
            Poll::Ready(())
        })
        .await;
    }

    #[tokio::test]
    async fn a_stream_is_polled_when_it_is_new_and_when_it_is_woken() {
        let mut streams = Streams::default();
        let (sender, receiver) = oneshot::channel::<()>();
        streams.new_streams().push(receiver);
        poll_once(&mut streams).await;
        assert!(!streams.all.is_empty());
        sender.send(()).unwrap();
        poll_once(&mut streams).await;
        assert!(streams.all.is_empty());
    }

    #[tokio::test]
    async fn a_new_stream_may_bring_another() {
        let mut streams = Streams::default();
        let new = streams.new_streams();
        let (sender, mut receiver) = oneshot::channel();
        let outer = new.clone();
        outer.push(async move {
            new.push(async move { sender.send(()) });
        });
        poll_once(&mut streams).await;
        assert!(streams.all.is_empty());
        receiver.try_recv().unwrap();
    }

    #[tokio::test]
    async fn a_panic_ends_no_other_stream() {
        let mut streams = Streams::default();
        let new = streams.new_streams();
        let (sender, mut receiver) = oneshot::channel();
        new.push(async { panic!("expected by the test") });
        new.push(async move { sender.send(()) });
        poll_once(&mut streams).await;
        assert!(streams.all.is_empty());
        receiver.try_recv().unwrap();
    }
}

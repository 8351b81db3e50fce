//! One client connection, from its first byte to its last.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::io::AsyncRead;
use tokio::time::Instant;
use tower::BoxError;
use tower::timeout::alarm::Alarm;

use super::activity::Activity;
use super::detect::Detect;
use super::given_up::GivenUp;
use super::lifetime::{Action, Lifetime, Times};
use super::shutdown::{Requested, Shutdown};
use crate::transport::blocks::{Blocks, Frames};
use crate::transport::poll_clock;
use crate::transport::socket::Observe;
use crate::transport::stall::{StallTimeout, Stalled};
use crate::transport::streams::Streams;

pin_project! {
    /// Drives a hyper connection, and closes it when its lifetime is over.
    pub(super) struct Connection<T> {
        #[pin]
        inner: StallTimeout<Detect<T>>,
        streams: Streams,
        activity: Arc<Activity>,
        lifetime: Lifetime,
        alarm: Option<Alarm>,
        // `None` once it was triggered.
        shutdown: Option<Requested>,
    }
}

impl<T: AsyncRead + Unpin> Connection<T> {
    /// Wraps `inner`; `streams` are its streams if it speaks HTTP/2. After the shutdown it serves at most one more
    /// request, if that is already on its way.
    pub(super) fn new(
        inner: Detect<T>,
        streams: Streams,
        activity: Arc<Activity>,
        times: Times,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            inner: StallTimeout::new(inner),
            streams,
            activity,
            lifetime: Lifetime::new(times, Instant::now()),
            alarm: None,
            shutdown: Some(shutdown.when_requested()),
        }
    }
}

impl<T: AsyncRead + Unpin> Future for Connection<T> {
    type Output = Result<(), BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let polled = poll_clock::during(|| {
                // Streams first, as the connection writes what they send.
                if this.activity.speaks_http2() {
                    this.streams.poll(cx);
                }
                let polled = this.inner.as_mut().poll(cx);
                if this.activity.speaks_http2() {
                    this.streams.poll_new(cx);
                }
                polled
            });
            match polled {
                Poll::Ready(Ok(ended)) => return Poll::Ready(ended),
                Poll::Ready(Err(Stalled)) => {
                    this.activity.give_up();
                    return Poll::Ready(Err(GivenUp::Unread.into()));
                }
                Poll::Pending => {}
            }
            let seen = this.activity.seen(cx);
            let mut action = this.lifetime.update(seen, Instant::now);
            if let Action::Stay(Some(deadline)) = action {
                let alarm = this.alarm.get_or_insert_with(|| Alarm::new(deadline));
                alarm.reset(deadline);
                if alarm.poll(cx).is_ready() {
                    action = this.lifetime.expire();
                }
            }
            match action {
                Action::Stay(_) => {
                    let Some(shutdown) = this.shutdown else {
                        return Poll::Pending;
                    };
                    ready!(shutdown.poll(cx));
                    *this.shutdown = None;
                    this.lifetime.drain(Instant::now());
                }
                // The connection is polled once more, and may complete then.
                Action::Close => this.inner.as_mut().get_pin_mut().close(),
                Action::Drop(why) => {
                    this.activity.give_up();
                    return Poll::Ready(Err(why.into()));
                }
            }
        }
    }
}

/// Reports the reads and writes of a socket to the activity of its connection.
#[derive(Debug)]
pub(super) struct Watch {
    activity: Arc<Activity>,
    frames: Frames,
    blocks: Blocks,
    max_head: usize,
}

impl Watch {
    /// Reports to `activity`, and HTTP/2 header blocks to `blocks`. HTTP/1.1 heads have at most `max_head` bytes.
    pub(super) const fn new(activity: Arc<Activity>, blocks: Blocks, max_head: usize) -> Self {
        Self {
            activity,
            frames: Frames::new(),
            blocks,
            max_head,
        }
    }
}

impl Observe for Watch {
    /// hyper rejects a head that fills its buffer of that size, but accepts a longer one that one read completes.
    fn limit(&self) -> Option<usize> {
        let left = self.max_head.checked_sub(self.activity.head())?;
        (left > 0 && !self.activity.speaks_http2()).then_some(left)
    }

    fn read(&mut self, bytes: &[u8]) {
        self.activity.read(bytes.len());
        // Not for the preface: it is read alone, before the protocol is known.
        if self.activity.speaks_http2() {
            self.frames.read(bytes, &mut self.blocks);
        }
    }

    fn wrote(&mut self, bytes: usize) {
        self.activity.wrote(bytes);
    }

    fn waits(&mut self, for_peer: bool) {
        self.activity.writes(for_peer);
    }

    fn is_given_up(&self) -> bool {
        self.activity.is_given_up()
    }
}

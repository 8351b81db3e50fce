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
use super::detect::{Detect, PREFACE};
use super::given_up::GivenUp;
use super::lifetime::{Action, Lifetime, Times};
use super::shutdown::{Requested, Shutdown};
use crate::transport::blocks::{Blocks, Frames};
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
            // Streams first, as the connection writes what they send.
            if this.activity.speaks_http2() {
                this.streams.poll(cx);
            }
            let polled = this.inner.as_mut().poll(cx);
            if this.activity.speaks_http2() {
                this.streams.poll_new(cx);
            }
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
    preface: Preface,
    frames: Frames,
    blocks: Blocks,
    max_head: usize,
}

impl Watch {
    /// Reports to `activity`, and HTTP/2 header blocks to `blocks`. HTTP/1.1 heads have at most `max_head` bytes.
    pub(super) const fn new(activity: Arc<Activity>, blocks: Blocks, max_head: usize) -> Self {
        Self {
            activity,
            preface: Preface::Matches(0),
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
        (left > 0 && self.preface != Preface::Complete).then_some(left)
    }

    fn read(&mut self, bytes: &[u8]) {
        self.activity.read(bytes.len());
        match self.preface {
            Preface::Matches(before) => {
                self.preface = self.preface.go_on(bytes);
                if self.preface == Preface::Complete {
                    self.activity.is_http2();
                    let rest = &bytes[PREFACE.len() - before..];
                    self.frames.read(rest, &mut self.blocks);
                }
            }
            Preface::Complete => self.frames.read(bytes, &mut self.blocks),
            Preface::Differs => {}
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

/// The progress in reading the HTTP/2 connection preface (RFC 9113, 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Preface {
    Matches(usize),
    Complete,
    Differs,
}

impl Preface {
    fn go_on(self, read: &[u8]) -> Self {
        let Self::Matches(before) = self else {
            return self;
        };
        let rest = &PREFACE[before..];
        let compared = rest.len().min(read.len());
        if rest[..compared] != read[..compared] {
            Self::Differs
        } else if compared == rest.len() {
            Self::Complete
        } else {
            Self::Matches(before + compared)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preface_is_detected_in_pieces_and_with_more_data() {
        let bytes = [&PREFACE[..], b"\0\0\0\x04"].concat();
        for piece in 1..bytes.len() {
            let read = bytes
                .chunks(piece)
                .fold(Preface::Matches(0), Preface::go_on);
            assert_eq!(read, Preface::Complete, "{piece}");
        }
        assert_eq!(Preface::Matches(0).go_on(b"PRI "), Preface::Matches(4));
        assert_eq!(Preface::Matches(0).go_on(b"PRIx"), Preface::Differs);
        assert_eq!(
            Preface::Matches(4).go_on(b"/ HTTP/1.1\r\n"),
            Preface::Differs
        );
    }
}

//! The innermost services of the benchmarks.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::{Builder, Runtime};

/// Responds immediately.
pub fn echo(n: u64) -> Ready<Result<u64, Infallible>> {
    ready(Ok(n))
}

/// Responds at the second poll.
pub fn echo_later(n: u64) -> Later {
    Later { n, polled: false }
}

pub struct Later {
    n: u64,
    polled: bool,
}

impl Future for Later {
    type Output = Result<u64, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::replace(&mut self.polled, true) {
            return Poll::Ready(Ok(self.n));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

pub fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

pub fn two_threads() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

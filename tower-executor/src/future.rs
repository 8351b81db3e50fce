//! Response futures.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::task::JoinHandle;
use tower_readiness::{Observer, event};

use crate::error::{Panicked, QueueFull, Stopped};
use crate::{BoxError, Event};

/// The response future of [`Executor`](crate::Executor). When it is dropped, the task is aborted.
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct ResponseFuture<R> {
    state: State<R>,
}

#[derive(Debug)]
enum State<R> {
    Spawned {
        task: JoinHandle<Result<R, BoxError>>,
        observer: Observer<Event>,
    },
    Refused(QueueFull),
}

impl<R> ResponseFuture<R> {
    pub(crate) const fn spawned(
        task: JoinHandle<Result<R, BoxError>>,
        observer: Observer<Event>,
    ) -> Self {
        Self {
            state: State::Spawned { task, observer },
        }
    }

    pub(crate) const fn refused(error: QueueFull) -> Self {
        Self {
            state: State::Refused(error),
        }
    }
}

impl<R> Future for ResponseFuture<R> {
    type Output = Result<R, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (task, observer) = match &mut self.state {
            State::Spawned { task, observer } => (task, observer),
            State::Refused(error) => return Poll::Ready(Err((*error).into())),
        };
        Poll::Ready(match ready!(Pin::new(task).poll(cx)) {
            Ok(result) => result,
            Err(failed) => Err(match failed.try_into_panic() {
                Ok(payload) => {
                    let error = Panicked::new(payload);
                    event!(DEBUG, %error, "executor: a task panicked");
                    observer.notify(&Event::Panicked);
                    error.into()
                }
                Err(_) => Stopped::new().into(),
            }),
        })
    }
}

impl<R> Drop for ResponseFuture<R> {
    fn drop(&mut self) {
        if let State::Spawned { task, .. } = &self.state {
            task.abort();
        }
    }
}

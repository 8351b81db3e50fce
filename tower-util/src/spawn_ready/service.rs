use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::task::JoinHandle;
use tower_readiness::trace::in_current_span;
use tower_readiness::{Purpose, drive};
use tower_service::Service;

use super::SpawnReadyLayer;
use super::future::ResponseFuture;
use crate::BoxError;

/// Drives a service to readiness in a background task; see the [module](super).
#[derive(Debug)]
pub struct SpawnReady<S> {
    state: State<S>,
}

#[derive(Debug)]
enum State<S> {
    Here(S),
    /// In the task, until it is ready.
    Away(JoinHandle<Result<S, BoxError>>),
    Lost,
}

impl<S> SpawnReady<S> {
    /// Wraps `service`, driving its readiness in a background task.
    pub const fn new(service: S) -> Self {
        Self {
            state: State::Here(service),
        }
    }

    /// Returns a layer that wraps services in [`SpawnReady`].
    pub fn layer() -> SpawnReadyLayer {
        SpawnReadyLayer::default()
    }
}

impl<S, Req> Service<Req> for SpawnReady<S>
where
    Req: 'static,
    S: Service<Req> + Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        loop {
            match &mut self.state {
                State::Here(service) => {
                    let polled = service.poll_ready(cx).map_err(Into::into);
                    if polled.is_ready() || Purpose::current() == Purpose::Release {
                        // ## Here => Lost
                        if matches!(polled, Poll::Ready(Err(_))) {
                            self.state = State::Lost;
                        }
                        return polled;
                    }
                    // ## Here => Away
                    let State::Here(service) = std::mem::replace(&mut self.state, State::Lost)
                    else {
                        unreachable!()
                    };
                    let getting_ready = in_current_span(get_ready(service));
                    self.state = State::Away(tokio::spawn(getting_ready));
                }
                // ## Away => Here | Lost
                State::Away(_) if Purpose::current() == Purpose::Release => return Poll::Pending,
                State::Away(task) => {
                    let result = ready!(Pin::new(task).poll(cx));
                    self.state = State::Lost;
                    self.state = State::Here(result??);
                }
                State::Lost => return Poll::Ready(Err(Lost(()).into())),
            }
        }
    }

    fn call(&mut self, request: Req) -> Self::Future {
        match &mut self.state {
            State::Here(service) => ResponseFuture::new(service.call(request)),
            State::Away(_) | State::Lost => {
                panic!("service not ready; poll_ready must be called first")
            }
        }
    }
}

/// Only drives the service. A reservation made here would be held until the caller polls again, which it may never do.
async fn get_ready<S, Req>(mut service: S) -> Result<S, BoxError>
where
    S: Service<Req, Error: Into<BoxError>>,
{
    poll_fn(|cx| drive(&mut service, cx))
        .await
        .map_err(Into::into)?;
    Ok(service)
}

impl<S> Drop for SpawnReady<S> {
    fn drop(&mut self) {
        if let State::Away(task) = &self.state {
            task.abort();
        }
    }
}

/// The service failed to become ready, which was reported before, and was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost(());

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the service was lost when it failed to become ready")
    }
}

impl Error for Lost {}

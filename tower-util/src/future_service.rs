use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tower_service::Service;

/// Makes a [`Service`] of a future that yields one. It is ready once the future has finished and its service is ready.
///
/// # Example
///
/// ```
/// use std::convert::Infallible;
/// use tower_util::{ServiceExt, future_service, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let connecting = Box::pin(async {
///     tokio::task::yield_now().await;
///     Ok::<_, Infallible>(service_fn(async |n: u32| Ok(n + 1)))
/// });
/// assert_eq!(future_service(connecting).oneshot(1).await, Ok(2));
/// # }
/// ```
///
/// # Errors
///
/// The future's error is returned by `poll_ready`. Drop the service then: the future is not polled again, and
/// `poll_ready` stays pending.
pub fn future_service<F, S, R, E>(future: F) -> FutureService<F, S>
where
    F: Future<Output = Result<S, E>> + Unpin,
    S: Service<R, Error = E>,
{
    FutureService::new(future)
}

/// A [`Service`] that is made by a future; see [`future_service`].
#[derive(Clone)]
pub struct FutureService<F, S> {
    state: State<F, S>,
}

#[derive(Clone)]
enum State<F, S> {
    Making(F),
    Made(S),
    Failed,
}

impl<F, S> FutureService<F, S> {
    /// See [`future_service`].
    pub const fn new(future: F) -> Self {
        Self {
            state: State::Making(future),
        }
    }
}

impl<F, S, R, E> Service<R> for FutureService<F, S>
where
    F: Future<Output = Result<S, E>> + Unpin,
    S: Service<R, Error = E>,
{
    type Response = S::Response;
    type Error = E;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        loop {
            match &mut self.state {
                // ## Making => Made | Failed
                State::Making(future) => match ready!(Pin::new(future).poll(cx)) {
                    Ok(service) => self.state = State::Made(service),
                    Err(error) => {
                        self.state = State::Failed;
                        return Poll::Ready(Err(error));
                    }
                },
                State::Made(service) => return service.poll_ready(cx),
                State::Failed => return Poll::Pending,
            }
        }
    }

    fn call(&mut self, request: R) -> S::Future {
        match &mut self.state {
            State::Made(service) => service.call(request),
            State::Making(_) | State::Failed => {
                panic!("service not ready; poll_ready must be called first")
            }
        }
    }
}

impl<F, S: fmt::Debug> fmt::Debug for FutureService<F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state: &dyn fmt::Debug = match &self.state {
            State::Making(_) => &format_args!("Making({})", std::any::type_name::<F>()),
            State::Made(service) => service,
            State::Failed => &format_args!("Failed"),
        };
        f.debug_struct("FutureService")
            .field("state", state)
            .finish()
    }
}

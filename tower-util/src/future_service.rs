use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tower_readiness::Purpose;
use tower_service::Service;

/// Creates a [`Service`] from a future of one. It is ready once the future has completed and its service is ready.
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
/// `poll_ready` returns the future's error once, since it need not be `Clone`. A service whose `poll_ready` has failed
/// must not be polled again; for callers that do so anyway, [`repeat_error`](FutureService::repeat_error) keeps the
/// error.
///
/// # Panics
///
/// If it is polled again after the future's error, or called before it is ready.
pub fn future_service<F, S, R, E>(future: F) -> FutureService<F, S>
where
    F: Future<Output = Result<S, E>> + Unpin,
    S: Service<R, Error = E>,
{
    FutureService::new(future)
}

/// A [`Service`] created by a future; see [`future_service`].
///
/// `M` determines whether the future's error is kept; see [`repeat_error`](Self::repeat_error).
#[derive(Clone)]
pub struct FutureService<F, S, M = ErrorOnce> {
    state: State<F, S>,
    error: M,
}

#[derive(Clone)]
enum State<F, S> {
    Making(F),
    Made(S),
    Failed,
}

/// A [`FutureService`] returns its error once.
#[derive(Clone, Copy, Debug)]
pub struct ErrorOnce(());

/// A [`FutureService`] returns its error at every poll.
#[derive(Clone, Debug)]
pub struct ErrorRepeated<E>(Option<E>);

impl<F, S> FutureService<F, S> {
    /// See [`future_service`].
    pub const fn new(future: F) -> Self {
        Self {
            state: State::Making(future),
            error: ErrorOnce(()),
        }
    }

    /// Returns a clone of the future's error at every further poll, for callers that may poll again after an error.
    ///
    /// ```
    /// # use tower_service::Service;
    /// # use tower_util::{ServiceExt, future_service, service_fn};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let echo = service_fn(async |n: u32| Ok(n));
    /// # let refused = move |refuse| Box::pin(async move { if refuse { Err("refused") } else { Ok(echo) } });
    /// let mut service = future_service(refused(true)).repeat_error();
    /// assert_eq!(service.ready().await.err(), Some("refused"));
    /// assert_eq!(service.ready().await.err(), Some("refused"));
    /// # }
    /// ```
    pub fn repeat_error<E>(self) -> FutureService<F, S, ErrorRepeated<E>>
    where
        F: Future<Output = Result<S, E>>,
        E: Clone,
    {
        FutureService {
            state: self.state,
            error: ErrorRepeated(None),
        }
    }
}

impl<F, S, M, R, E> Service<R> for FutureService<F, S, M>
where
    F: Future<Output = Result<S, E>> + Unpin,
    S: Service<R, Error = E>,
    M: Memory<E>,
{
    type Response = S::Response;
    type Error = E;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        loop {
            match &mut self.state {
                // ## Making => Made | Failed
                //
                // The future may use services of its own, and call them.
                State::Making(future) => {
                    match ready!(Purpose::Call.run(|| Pin::new(future).poll(cx))) {
                        Ok(service) => self.state = State::Made(service),
                        Err(error) => {
                            self.state = State::Failed;
                            self.error.keep(&error);
                            return Poll::Ready(Err(error));
                        }
                    }
                }
                State::Made(service) => return service.poll_ready(cx),
                State::Failed => return Poll::Ready(Err(self.error.again())),
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

/// What happens to the future's error. Sealed: [`ErrorOnce`] or [`ErrorRepeated`].
#[allow(unreachable_pub, unnameable_types, reason = "sealed")]
pub trait Memory<E> {
    fn keep(&mut self, error: &E);
    fn again(&self) -> E;
}

impl<E> Memory<E> for ErrorOnce {
    fn keep(&mut self, _: &E) {}

    fn again(&self) -> E {
        panic!(
            "polled again after its future has failed; drop it, or see FutureService::repeat_error"
        )
    }
}

impl<E: Clone> Memory<E> for ErrorRepeated<E> {
    fn keep(&mut self, error: &E) {
        self.0 = Some(error.clone());
    }

    fn again(&self) -> E {
        self.0.clone().expect("kept when the future failed")
    }
}

impl<F, S: fmt::Debug, M> fmt::Debug for FutureService<F, S, M> {
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

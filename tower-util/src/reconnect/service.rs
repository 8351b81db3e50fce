use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tower_readiness::{Purpose, event};
use tower_service::Service;

use super::ResponseFuture;
use crate::BoxError;
use crate::backoff::{Backoff, ExponentialBackoffMaker, MakeBackoff};

/// Creates a new service when the current one has failed; see the [module](super).
pub struct Reconnect<M, Target, B = ExponentialBackoffMaker>
where
    M: Service<Target>,
    B: MakeBackoff,
{
    make: M,
    target: Target,
    state: State<M::Future, M::Response, <B::Backoff as Backoff>::Future>,
    /// Without a backoff: the error of the next request.
    error: Option<M::Error>,
    backoff: Option<Waits<M, B>>,
}

enum State<F, S, W> {
    Idle,
    /// Unwind safe: without a backoff there is no wait, and one that has panicked is only polled again.
    Waiting(AssertUnwindSafe<Pin<Box<W>>>),
    Connecting(F),
    /// `proven`: it has served a request.
    Connected {
        service: S,
        proven: bool,
    },
}

/// Creates the backoffs, and replaces a `MakeService` that has failed.
struct Waits<M, B: MakeBackoff> {
    backoff: B,
    /// The backoff since the last connection that served a request.
    current: Option<B::Backoff>,
    /// Never polled, so that its clones can replace one whose readiness failed.
    pristine: M,
    /// `M::clone`, stored because `M` need not be `Clone` without a backoff.
    clone: fn(&M) -> M,
}

impl<M, B: MakeBackoff> Waits<M, B> {
    fn maker(&self) -> M {
        (self.clone)(&self.pristine)
    }

    fn next(&mut self) -> <B::Backoff as Backoff>::Future {
        self.current
            .get_or_insert_with(|| self.backoff.make_backoff())
            .next_backoff()
    }
}

impl<M, Target> Reconnect<M, Target>
where
    M: Service<Target>,
{
    /// Calls `mk_service` with `target` when it is first polled. After a failed attempt, the next request fails with
    /// its error.
    pub const fn new(mk_service: M, target: Target) -> Self {
        Self {
            make: mk_service,
            target,
            state: State::Idle,
            error: None,
            backoff: None,
        }
    }

    /// Like [`new`](Self::new), starting with an existing service.
    pub const fn with_connection(init_conn: M::Response, mk_service: M, target: Target) -> Self {
        let state = State::Connected {
            service: init_conn,
            proven: false,
        };
        Self {
            make: mk_service,
            target,
            state,
            error: None,
            backoff: None,
        }
    }
}

impl<M, Target, B> Reconnect<M, Target, B>
where
    M: Service<Target>,
    B: MakeBackoff,
{
    /// Calls `make` with `target` when it is first polled. After a failed attempt it waits for the `backoff` and tries
    /// again; meanwhile it is not ready. The backoff restarts after a connection that has served a request.
    ///
    /// When the readiness of `make` fails, it is replaced by a clone that was never polled.
    pub fn with_backoff(make: M, target: Target, backoff: B) -> Self
    where
        M: Clone,
    {
        let backoff = Some(Waits {
            backoff,
            current: None,
            pristine: make.clone(),
            clone: M::clone,
        });
        Self {
            make,
            target,
            state: State::Idle,
            error: None,
            backoff,
        }
    }

    /// ## Connecting | Connected => Idle | Waiting
    ///
    /// Returns `Ok` if there is a backoff to wait for, otherwise the error.
    fn wait<E: Into<BoxError>>(&mut self, error: E) -> Result<(), E> {
        match &mut self.backoff {
            Some(waits) => {
                event!(DEBUG, error = %error.into(), "connection attempt failed; retrying after a backoff");
                self.state = State::Waiting(AssertUnwindSafe(Box::pin(waits.next())));
                Ok(())
            }
            None => {
                self.state = State::Idle;
                Err(error)
            }
        }
    }
}

impl<M, Target, S, Request, B> Service<Request> for Reconnect<M, Target, B>
where
    M: Service<Target, Response = S>,
    S: Service<Request>,
    M::Future: Unpin,
    BoxError: From<M::Error> + From<S::Error>,
    Target: Clone,
    B: MakeBackoff,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future, M::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let mut made = false;
        loop {
            match &mut self.state {
                State::Idle if made => {
                    // The service failed as soon as it was created: yield to other tasks.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                // ## Idle => Connecting | Waiting
                // The `MakeService` is called once it is ready, even if there is no request.
                State::Idle => match ready!(Purpose::Call.run(|| self.make.poll_ready(cx))) {
                    Ok(()) => self.state = State::Connecting(self.make.call(self.target.clone())),
                    Err(error) => {
                        self.wait(error)?;
                        if let Some(waits) = &self.backoff {
                            self.make = waits.maker();
                        }
                    }
                },
                // ## Waiting => Idle
                State::Waiting(wait) => {
                    ready!(wait.as_mut().poll(cx));
                    self.state = State::Idle;
                }
                State::Connecting(making) => {
                    match ready!(Purpose::Call.run(|| Pin::new(making).poll(cx))) {
                        // ## Connecting => Connected
                        Ok(service) => {
                            made = true;
                            self.error = None;
                            self.state = State::Connected {
                                service,
                                proven: false,
                            };
                        }
                        Err(error) => {
                            if let Err(error) = self.wait(error) {
                                self.error = Some(error);
                                return Poll::Ready(Ok(()));
                            }
                        }
                    }
                }
                State::Connected { service, proven } => match ready!(service.poll_ready(cx)) {
                    Ok(()) => return Poll::Ready(Ok(())),
                    Err(error) if *proven || self.backoff.is_none() => {
                        event!(DEBUG, error = %BoxError::from(error), "connection lost; reconnecting");
                        if let Some(waits) = &mut self.backoff {
                            waits.current = None;
                        }
                        self.state = State::Idle;
                    }
                    Err(error) => self.wait(error).map_err(BoxError::from)?,
                },
            }
        }
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if let Some(error) = self.error.take() {
            return ResponseFuture::failed(error.into());
        }
        match &mut self.state {
            State::Connected { service, proven } => {
                *proven = true;
                ResponseFuture::called(service.call(request))
            }
            _ => panic!("service not ready; poll_ready must be called first"),
        }
    }
}

impl<M, Target, B> fmt::Debug for Reconnect<M, Target, B>
where
    M: Service<Target> + fmt::Debug,
    M::Response: fmt::Debug,
    Target: fmt::Debug,
    B: MakeBackoff,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state: &dyn fmt::Debug = match &self.state {
            State::Idle => &"Idle",
            State::Waiting(_) => &"Waiting",
            State::Connecting(_) => &"Connecting",
            State::Connected { service, .. } => service,
        };
        f.debug_struct("Reconnect")
            .field("make", &self.make)
            .field("target", &self.target)
            .field("state", state)
            .finish_non_exhaustive()
    }
}

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

pin_project! {
    /// Waits until a service is ready and sends it one request; see
    /// [`ServiceExt::oneshot`](crate::ServiceExt::oneshot).
    ///
    /// # Panics
    ///
    /// If it is polled again after it has completed.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Oneshot<S: Service<Req>, Req> {
        #[pin]
        state: State<S, Req>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S: Service<Req>, Req> {
        Waiting { service: S, request: Option<Req> },
        Called { #[pin] response: S::Future },
        Done,
    }
}

impl<S, Req> Oneshot<S, Req>
where
    S: Service<Req>,
{
    /// Sends `request` to `service` once it is ready.
    pub const fn new(service: S, request: Req) -> Self {
        Self {
            state: State::Waiting {
                service,
                request: Some(request),
            },
        }
    }
}

impl<S, Req> Future for Oneshot<S, Req>
where
    S: Service<Req>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Waiting { service, request } => {
                    // ## Waiting => Called | Done
                    match ready!(service.poll_ready(cx)) {
                        Ok(()) => {
                            let response = service
                                .call(request.take().expect("taken only when the state changes"));
                            state.set(State::Called { response });
                        }
                        Err(error) => {
                            state.set(State::Done);
                            return Poll::Ready(Err(error));
                        }
                    }
                }
                // ## Called => Done
                StateProj::Called { response } => {
                    let result = ready!(response.poll(cx));
                    state.set(State::Done);
                    return Poll::Ready(result);
                }
                StateProj::Done => panic!("oneshot polled after it has finished"),
            }
        }
    }
}

impl<S, Req> fmt::Debug for State<S, Req>
where
    S: Service<Req> + fmt::Debug,
    Req: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { service, request } => f
                .debug_tuple("Waiting")
                .field(service)
                .field(request)
                .finish(),
            Self::Called { .. } => f.write_str("Called"),
            Self::Done => f.write_str("Done"),
        }
    }
}

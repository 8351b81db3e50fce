//! A request in the hands of the proxy, from when it is known where it goes until its answer begins.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response, Version, header};
use pin_project_lite::pin_project;
use tower::{BoxError, Service};

use crate::front::body::{BoundedBody, ResponseBody};
use crate::front::count::OutcomeBody;
use crate::front::protocol::Dialect;
use crate::front::rescue::Failure;
use crate::front::upload::UploadBody;
use crate::metrics::InFlight;
use crate::transport::headers;

/// How the answer to a request is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) dialect: Dialect,
    pub(crate) is_http2: bool,
    /// It has no body: over HTTP/2, hyper would send the body of one of our own.
    pub(crate) is_head: bool,
    /// The gRPC status may follow the body.
    pub(crate) has_status: bool,
    /// The client wants to know which trailers there will be.
    pub(crate) takes_trailers: bool,
}

/// A request that has a route.
#[derive(Debug)]
pub(crate) struct Admitted<S> {
    /// Ready for the request first.
    pub(crate) stack: S,
    pub(crate) request: Request<UploadBody>,
    /// How many bytes of the body are waited for.
    pub(crate) buffer: usize,
}

pin_project! {
    /// The answer to a request: that of an upstream, or one of the proxy's own.
    ///
    /// No `async` block, since that has room for each request, stack and response as often as it moves them, and is moved itself
    /// by what is above.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Handling<S>
    where
        S: Service<Request<UploadBody>>,
    {
        #[pin]
        state: State<S, S::Future>,
        manner: Manner,
        // `None` once it is answered.
        in_flight: Option<InFlight>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F> {
        // Nothing else waits for a client that sends no body.
        Arriving { admitted: Option<Box<Admitted<S>>> },
        // In a box, so that what is moved before it is called is small.
        Called { response: Pin<Box<F>> },
        Answered { response: Option<Response<ResponseBody>> },
    }
}

impl<S: Service<Request<UploadBody>>> Handling<S> {
    /// Sends a request to its stack.
    pub(crate) fn of(admitted: Admitted<S>, manner: Manner, in_flight: InFlight) -> Self {
        Self {
            state: State::Arriving {
                admitted: Some(Box::new(admitted)),
            },
            manner,
            in_flight: Some(in_flight),
        }
    }

    /// Answers a request that goes nowhere, and is counted as answered.
    pub(crate) fn answered(
        response: Response<ResponseBody>,
        manner: Manner,
        in_flight: InFlight,
    ) -> Self {
        Self {
            state: State::Answered {
                response: Some(response),
            },
            manner,
            in_flight: Some(in_flight),
        }
    }
}

impl<S> Future for Handling<S>
where
    S: Service<Request<UploadBody>, Response = Response<BoundedBody>, Error = BoxError>,
{
    type Output = Response<OutcomeBody<ResponseBody>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let manner = *this.manner;
        let result = loop {
            match this.state.as_mut().project() {
                // ## Arriving => Called
                StateProj::Arriving { admitted } => {
                    let sending = admitted.as_mut().expect(AGAIN);
                    let body = sending.request.body_mut();
                    if let Err(failure) = ready!(body.poll_arrived(sending.buffer, cx)) {
                        break Err(failure.into());
                    }
                    if let Err(error) = ready!(sending.stack.poll_ready(cx)) {
                        break Err(error);
                    }
                    let mut sending = admitted.take().expect(AGAIN);
                    let response = sending.stack.call(sending.request);
                    this.state.set(State::Called {
                        response: Box::pin(response),
                    });
                }
                StateProj::Called { response } => break ready!(response.as_mut().poll(cx)),
                StateProj::Answered { response } => {
                    let response = response.take().expect(AGAIN);
                    let in_flight = this.in_flight.take().expect(AGAIN);
                    return Poll::Ready(manner.finish(response, in_flight));
                }
            }
        };
        // What the request holds, such as its place, need not wait for the answer to be written.
        this.state.set(State::Answered { response: None });
        let mut in_flight = this.in_flight.take().expect(AGAIN);
        let response = match result {
            Ok(response) => manner.upstreams(response),
            Err(error) => {
                let failure = Failure::of(&error);
                tracing::debug!(route = in_flight.route(), %error, ?failure, "request failed");
                in_flight.failed(failure.reason());
                failure.response(manner.dialect)
            }
        };
        in_flight.answered(response.status());
        Poll::Ready(manner.finish(response, in_flight))
    }
}

impl Manner {
    /// What comes from an upstream, without the fields that are not for the client.
    fn upstreams(self, response: Response<BoundedBody>) -> Response<ResponseBody> {
        let mut response = response.map(ResponseBody::upstream);
        // That of the proxy: hyper lowers it for an HTTP/1.0 client.
        *response.version_mut() = Version::HTTP_11;
        headers::strip_hop_by_hop(response.headers_mut());
        if !self.takes_trailers {
            response.headers_mut().remove(header::TRAILER);
        }
        response
    }

    /// The response, whose body counts its own end.
    fn finish(
        self,
        response: Response<ResponseBody>,
        in_flight: InFlight,
    ) -> Response<OutcomeBody<ResponseBody>> {
        response.map(|body| {
            let body = match self.is_head {
                true => body.without_own(),
                false => body,
            };
            OutcomeBody::new(body, in_flight, self.has_status)
        })
    }
}

const AGAIN: &str = "not polled after it was ready";

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use tower_classify::http::{ClassifyError, Code, HttpClassify, is_grpc};
use tower_classify::{Class, Classify, ErrorChain, Pushback};

use crate::BoxError;

/// Classifies the results of hedged HTTP and gRPC requests, by an [`HttpClassify`]; see the [module](super).
///
/// An [`HttpClassify`] decides whether another attempt may succeed. When hedging, another attempt is already in flight
/// or planned, so some of its classes change:
///
/// - A failure by HTTP status loses, even a 500, and its `retry-after` does not change when the next attempt is sent.
/// - A gRPC status loses if it is transient: by default UNAVAILABLE, and RESOURCE_EXHAUSTED with a pushback. The next
///   attempt is then sent after the pushback, or immediately without one.
/// - Any other gRPC status is fatal, even one such as NOT_FOUND, which is a success for `HttpClassify`. It is
///   [`Class::Ignored`], because the latency of an error is not typical.
pub struct HedgeResponses<E = ErrorChain> {
    // Shared, because the response future of each request holds a clone.
    classify: Arc<HttpClassify<E>>,
}

impl HedgeResponses {
    /// Classifies by [`HttpClassify::new`].
    pub fn new() -> Self {
        Self::from(HttpClassify::new())
    }
}

impl<E: Clone> HedgeResponses<E> {
    /// Sets the gRPC statuses after which other attempts continue: `nonFatalStatusCodes` in gRPC, and the same as
    /// [`HttpClassify::grpc_transient`]. By default UNAVAILABLE, and RESOURCE_EXHAUSTED with a pushback.
    #[must_use]
    pub fn non_fatal(self, statuses: impl IntoIterator<Item = Code>) -> Self {
        Self::from(Arc::unwrap_or_clone(self.classify).grpc_transient(statuses))
    }
}

impl<E> From<HttpClassify<E>> for HedgeResponses<E> {
    fn from(classify: HttpClassify<E>) -> Self {
        Self {
            classify: Arc::new(classify),
        }
    }
}

impl<E, B, R> Classify<Request<B>, Response<R>, BoxError> for HedgeResponses<E>
where
    E: ClassifyError<BoxError>,
{
    /// Whether it is a gRPC call.
    type Info = bool;

    #[inline]
    fn info(&self, request: &Request<B>) -> bool {
        is_grpc(request.headers())
    }

    fn classify(&self, is_grpc: &bool, result: Result<&Response<R>, &BoxError>) -> Class {
        let class = Classify::<Request<B>, _, _>::classify(&self.classify, is_grpc, result);
        let Ok(response) = result else {
            return class;
        };
        let code = is_grpc.then(|| Code::of(response.headers())).flatten();
        match (code, class) {
            (None, Class::Failure(failure)) => failure.transient(true).with_pushback(None).into(),
            (None | Some(Code::Ok), class) => class,
            (Some(_), Class::Failure(failure)) if failure.is_transient() => {
                let pushback = failure.pushback().unwrap_or(IMMEDIATELY);
                failure.with_pushback(Some(pushback)).into()
            }
            (Some(_), _) => Class::Ignored,
        }
    }
}

impl Default for HedgeResponses {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Clone for HedgeResponses<E> {
    fn clone(&self) -> Self {
        Self {
            classify: Arc::clone(&self.classify),
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for HedgeResponses<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HedgeResponses")
            .field("classify", &self.classify)
            .finish()
    }
}

const IMMEDIATELY: Pushback = Pushback::After(Duration::ZERO);

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;

    use super::*;

    fn class(content_type: &str, responses: &HedgeResponses, response: &Response<()>) -> Class {
        let request = Request::builder().header(CONTENT_TYPE, content_type);
        let request = request.body(()).unwrap();
        let info = Classify::<_, Response<()>, _>::info(responses, &request);
        Classify::<Request<()>, _, _>::classify(responses, &info, Ok(response))
    }

    /// Asserts that the attempt loses, and returns when the next one is sent; `None` as planned.
    fn lost(class: Class) -> Option<Pushback> {
        match class {
            Class::Failure(failure) if failure.is_transient() => failure.pushback(),
            class => panic!("{class:?}"),
        }
    }

    /// Whether the result is returned and its latency not recorded.
    fn is_fatal(class: Class) -> bool {
        match class {
            Class::Failure(failure) => !failure.is_transient(),
            class => class == Class::Ignored,
        }
    }

    #[test]
    fn server_errors_and_429_lose() {
        let class = |status: u16| {
            let response = Response::builder().status(status).header("retry-after", 1);
            let response = response.body(()).unwrap();
            class("text/plain", &HedgeResponses::new(), &response)
        };
        for status in [200, 404] {
            assert_eq!(class(status), Class::Success, "{status}");
        }
        for status in [429, 500, 503] {
            assert_eq!(lost(class(status)), None, "{status}");
        }
        let responses = HedgeResponses::new();
        for error in [
            "broken".into(),
            tower_classify::Unsent::new("refused").into(),
        ] {
            let error: BoxError = error;
            let result: Result<&Response<()>, _> = Err(&error);
            let class = Classify::<Request<()>, _, _>::classify(&responses, &false, result);
            assert!(class == Class::Unsent || lost(class).is_none());
        }
    }

    fn grpc(status: &str, pushback: Option<&str>) -> Class {
        let mut response = Response::builder()
            .header(CONTENT_TYPE, "application/grpc+proto")
            .header("grpc-status", status);
        if let Some(pushback) = pushback {
            response = response.header("grpc-retry-pushback-ms", pushback);
        }
        let responses =
            HedgeResponses::new().non_fatal([Code::ResourceExhausted, Code::Unavailable]);
        class(
            "application/grpc+proto",
            &responses,
            &response.body(()).unwrap(),
        )
    }

    #[test]
    fn a_grpc_status_wins_loses_or_is_fatal() {
        assert_eq!(grpc("0", None), Class::Success);
        for status in ["8", "14"] {
            assert_eq!(lost(grpc(status, None)), Some(IMMEDIATELY), "{status}");
        }
        for status in ["1", "5", "13", "17", "what"] {
            assert!(is_fatal(grpc(status, None)), "{status}");
        }
    }

    #[test]
    fn a_pushback_determines_when_the_next_attempt_is_sent() {
        for (pushback, next) in [
            ("1500", Pushback::After(Duration::from_millis(1500))),
            ("0", Pushback::After(Duration::ZERO)),
            ("-1", Pushback::Never),
            ("soon", Pushback::Never),
            ("4294967295", Pushback::Never),
        ] {
            assert_eq!(lost(grpc("14", Some(pushback))), Some(next));
        }
        assert!(is_fatal(grpc("5", Some("1500"))));
    }

    #[test]
    fn without_a_grpc_status_the_http_status_decides() {
        let responses = HedgeResponses::new();
        let response = Response::builder()
            .status(503)
            .header(CONTENT_TYPE, "application/grpc");
        let response = response.body(()).unwrap();
        assert_eq!(lost(class("application/grpc", &responses, &response)), None);
        let not_grpc = Response::builder().header("grpc-status", "5");
        let not_grpc = not_grpc.body(()).unwrap();
        assert_eq!(class("", &responses, &not_grpc), Class::Success);
    }
}

use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode};
use tower_classify::Pushback;
use tower_classify::http::{Code, is_grpc, pushback};

use crate::{BoxError, Classify, Next, Verdict};

/// Classifies responses by HTTP and gRPC status; see the [module](super).
#[derive(Clone, Debug)]
pub struct HttpClassify {
    /// The non-fatal gRPC statuses.
    non_fatal: Arc<[Code]>,
}

impl HttpClassify {
    /// Treats UNAVAILABLE as the only non-fatal gRPC status.
    pub fn new() -> Self {
        Self {
            non_fatal: Arc::new([Code::Unavailable]),
        }
    }

    /// Sets the gRPC statuses after which other attempts go on: `nonFatalStatusCodes` in gRPC. By default UNAVAILABLE.
    #[must_use]
    pub fn non_fatal(mut self, statuses: impl IntoIterator<Item = Code>) -> Self {
        self.non_fatal = statuses.into_iter().collect();
        self
    }

    fn grpc(&self, code: Code, headers: &HeaderMap) -> Verdict {
        if code == Code::Ok {
            return Verdict::Win;
        }
        if !self.non_fatal.contains(&code) {
            return Verdict::Fatal;
        }
        let next = match pushback(headers) {
            Some(Pushback::After(wait)) => Next::After(wait),
            Some(Pushback::Never) => Next::Never,
            None => Next::Now,
        };
        Verdict::Lose { next }
    }
}

impl<B> Classify<Response<B>> for HttpClassify {
    type Lost = Result<Response<B>, BoxError>;

    fn classify(&self, result: Result<&Response<B>, &BoxError>) -> Verdict {
        let lost = Verdict::Lose {
            next: Next::AsPlanned,
        };
        let Ok(response) = result else {
            return lost;
        };
        let headers = response.headers();
        if let Some(code) = Code::of(headers)
            && is_grpc(headers)
        {
            return self.grpc(code, headers);
        }
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            lost
        } else {
            Verdict::Win
        }
    }
}

impl Default for HttpClassify {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::header::CONTENT_TYPE;

    use super::*;

    const LOST: Verdict = Verdict::Lose {
        next: Next::AsPlanned,
    };

    #[test]
    fn server_errors_and_429_lose() {
        for (status, expected) in [
            (200, Verdict::Win),
            (404, Verdict::Win),
            (429, LOST),
            (500, LOST),
            (503, LOST),
        ] {
            let response = Response::builder().status(status).body(()).unwrap();
            assert_eq!(
                HttpClassify::new().classify(Ok(&response)),
                expected,
                "{status}"
            );
        }
        let error = BoxError::from("broken");
        let verdict = Classify::<Response<()>>::classify(&HttpClassify::new(), Err(&error));
        assert_eq!(verdict, LOST);
    }

    fn grpc(status: &str, pushback: Option<&str>) -> Verdict {
        let mut response = Response::builder()
            .header(CONTENT_TYPE, "application/grpc+proto")
            .header("grpc-status", status);
        if let Some(pushback) = pushback {
            response = response.header("grpc-retry-pushback-ms", pushback);
        }
        let classify = HttpClassify::new().non_fatal([Code::ResourceExhausted, Code::Unavailable]);
        classify.classify(Ok(&response.body(()).unwrap()))
    }

    #[test]
    fn a_status_of_grpc_wins_or_loses_or_is_fatal() {
        let now = Verdict::Lose { next: Next::Now };
        for (status, expected) in [
            ("0", Verdict::Win),
            ("8", now),
            ("14", now),
            ("5", Verdict::Fatal),
            ("17", Verdict::Fatal),
            ("what", Verdict::Fatal),
        ] {
            assert_eq!(grpc(status, None), expected, "{status}");
        }
    }

    #[test]
    fn a_pushback_says_when_the_next_comes() {
        for (pushback, next) in [
            ("1500", Next::After(Duration::from_millis(1500))),
            ("0", Next::After(Duration::ZERO)),
            ("-1", Next::Never),
            ("soon", Next::Never),
            ("4294967295", Next::Never),
        ] {
            assert_eq!(grpc("14", Some(pushback)), Verdict::Lose { next });
        }
        assert_eq!(grpc("5", Some("1500")), Verdict::Fatal);
    }

    #[test]
    fn the_status_of_http_counts_for_grpc_without_its_own() {
        let response = Response::builder()
            .status(503)
            .header(CONTENT_TYPE, "application/grpc");
        let response = response.body(()).unwrap();
        assert_eq!(HttpClassify::new().classify(Ok(&response)), LOST);
        let not_grpc = Response::builder().header("grpc-status", "5");
        let not_grpc = not_grpc.body(()).unwrap();
        assert_eq!(HttpClassify::new().classify(Ok(&not_grpc)), Verdict::Win);
    }
}

//! What the results of a cluster mean, to each layer that asks.
//!
//! [`UpstreamError::class`] says what an error means. The layers differ from it where they must:
//!
//! - A cause in this process, such as the limit of connections, is unsent for a retry, but says nothing about the
//!   endpoint.
//! - An error of a layer above the endpoints, such as that of a full queue, is returned: a retry would end the same way.
//!   The other attempt of a hedged request may still succeed.
//! - A failure that is final for a retry is not for a hedge, whose other attempt may be in flight.

use tower::BoxError;
use tower::classify::http::{ClassifyError, HttpClassify};
use tower::classify::{Class, ErrorChain, FailureKind, cause_ref};
use tower::timeout::error::Elapsed;

use crate::upstream::UpstreamError;

/// Classifies the results of an endpoint.
pub type EndpointResults = HttpClassify<EndpointErrors>;

/// Returns the classification of an endpoint's results.
pub fn endpoint_results() -> EndpointResults {
    HttpClassify::new().errors(EndpointErrors)
}

/// Classifies errors by what they say about the endpoint.
#[derive(Debug, Clone, Copy)]
pub struct EndpointErrors;

impl ClassifyError<BoxError> for EndpointErrors {
    fn classify_error(&self, error: &BoxError) -> Class {
        match upstream(error) {
            // The client's fault and local limits say nothing about the endpoint.
            Some(error) if error.is_ours() => Class::Ignored,
            Some(error) => error.class(),
            None => Class::failure(FailureKind::Disconnected),
        }
    }
}

/// Classifies errors by whether a retry may succeed.
#[derive(Debug, Clone, Copy)]
pub struct RetryErrors;

impl ClassifyError<BoxError> for RetryErrors {
    fn classify_error(&self, error: &BoxError) -> Class {
        match upstream(error) {
            Some(error) => error.class(),
            // An attempt that timed out may have been processed.
            None if cause_ref::<Elapsed>(error.as_ref()).is_some() => {
                Class::failure(FailureKind::Timeout)
            }
            // No endpoint is ready, or the queue is closed: an immediate retry would end the same way.
            None => Class::Ignored,
        }
    }
}

/// Classifies errors by whether the other attempt of a hedged request may succeed.
#[derive(Debug, Clone, Copy)]
pub struct HedgeErrors;

impl ClassifyError<BoxError> for HedgeErrors {
    fn classify_error(&self, error: &BoxError) -> Class {
        match upstream(error).map(UpstreamError::class) {
            Some(Class::Failure(failure)) => failure.transient(true).into(),
            Some(class) => class,
            // No endpoint is ready for this attempt.
            None => ErrorChain::class(error.as_ref()),
        }
    }
}

fn upstream(error: &BoxError) -> Option<&UpstreamError> {
    cause_ref(error.as_ref())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::transport::framing::BadFraming;
    use crate::transport::upload::BodyError;
    use crate::upstream::ConnectError;

    fn connect(error: io::Error) -> UpstreamError {
        UpstreamError::Connect {
            endpoint: "a.example:1".parse().unwrap(),
            source: ConnectError::Tcp(error),
        }
    }

    #[test]
    fn local_limits_are_no_failure_of_the_endpoint() {
        let unavailable = io::Error::from(io::ErrorKind::AddrNotAvailable);
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        for (error, expected) in [
            (UpstreamError::Exhausted, false),
            (connect(unavailable), false),
            (connect(refused), true),
            (UpstreamError::Stalled, true),
            (UpstreamError::Closed, true),
        ] {
            let error = BoxError::from(error);
            let class = EndpointErrors.classify_error(&error);
            assert_eq!(class.is_failure(), expected, "{error}");
            assert_eq!(class == Class::Ignored, !expected, "{error}");
        }
    }

    #[test]
    fn each_error_has_one_class_but_for_local_limits() {
        let broken = Class::failure(FailureKind::Disconnected);
        let too_large = Class::failure(FailureKind::Internal);
        let local = io::Error::from(io::ErrorKind::AddrNotAvailable);
        let body = BodyError::new("the client is gone".into());
        let framing = UpstreamError::BadAnswer(BadFraming::UnknownCoding);
        for (error, retry, endpoint) in [
            (UpstreamError::Closed, Class::Unsent, Class::Unsent),
            (UpstreamError::Exhausted, Class::Unsent, Class::Ignored),
            (connect(local), Class::Unsent, Class::Ignored),
            (
                UpstreamError::RequestBody(body),
                Class::Ignored,
                Class::Ignored,
            ),
            (UpstreamError::Stalled, broken, broken),
            (framing, broken, broken),
            (UpstreamError::HeadTooLarge, too_large, too_large),
        ] {
            let error = BoxError::from(error);
            assert_eq!(RetryErrors.classify_error(&error), retry, "{error}");
            assert_eq!(EndpointErrors.classify_error(&error), endpoint, "{error}");
        }
    }

    #[test]
    fn only_the_clients_own_failure_ends_both_attempts_of_a_hedge() {
        let body = BodyError::new("the client is gone".into());
        let error = BoxError::from(UpstreamError::RequestBody(body));
        assert_eq!(HedgeErrors.classify_error(&error), Class::Ignored);
        for error in [
            BoxError::from(UpstreamError::Closed),
            UpstreamError::Exhausted.into(),
            UpstreamError::Stalled.into(),
            UpstreamError::HeadTooLarge.into(),
            "the queue is closed".into(),
        ] {
            let loses = match HedgeErrors.classify_error(&error) {
                Class::Unsent => true,
                Class::Failure(failure) => failure.is_transient(),
                _ => false,
            };
            assert!(loses, "{error}");
        }
    }

    #[test]
    fn a_retry_follows_the_timeout_of_an_attempt_but_no_other_error_of_a_layer() {
        let elapsed = BoxError::from(Elapsed::new());
        let class = RetryErrors.classify_error(&elapsed);
        assert_eq!(class, Class::failure(FailureKind::Timeout));
        let closed = BoxError::from("the queue is closed");
        assert_eq!(RetryErrors.classify_error(&closed), Class::Ignored);
    }
}

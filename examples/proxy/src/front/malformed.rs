//! Counts requests that no handler sees because their heads are invalid.

use http::StatusCode;
use tower::BoxError;
use tower::classify::cause_ref;

use crate::front::server::GivenUp;
use crate::metrics::RouteStats;

/// Counts the last request of a connection that failed with `error`, if the error is about a request.
///
/// A request over HTTP/2 that is malformed in itself fails only its own stream, and only the HTTP library sees it;
/// requests that fail the whole connection are counted.
pub(crate) fn count(error: &BoxError, stats: &RouteStats) {
    let Some((reason, answer)) = judge(error) else {
        return;
    };
    stats.failed(reason);
    if let Some(status) = answer {
        stats.answered(status);
    }
}

/// Returns the reason, and the status that the client got.
fn judge(error: &BoxError) -> Option<(&'static str, Option<StatusCode>)> {
    if let Some(hyper) = cause_ref::<hyper::Error>(&**error) {
        if hyper.is_parse_too_large() {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return Some(("head_too_large", Some(status)));
        }
        if hyper.is_parse() {
            return Some(("malformed", Some(StatusCode::BAD_REQUEST)));
        }
    }
    if cause_ref::<GivenUp>(&**error) == Some(&GivenUp::Head) {
        return Some(("head_timeout", None));
    }
    // Only errors that this side found in the connection, not those that the peer reports.
    let h2 = cause_ref::<h2::Error>(&**error)?;
    (h2.is_library() && h2.is_go_away()).then_some(("malformed", None))
}

//! Requests that no handler sees, since there is something wrong with their heads.

use http::StatusCode;
use tower::BoxError;
use tower::classify::cause_ref;

use crate::front::server::GivenUp;
use crate::metrics::RouteStats;

/// Counts what a connection that failed with `error` says of its last request.
///
/// Over HTTP/2, one that is malformed in itself fails its stream alone, which only the HTTP library knows; counted are those
/// by which the whole connection fails.
pub(crate) fn count(error: &BoxError, stats: &RouteStats) {
    let Some((reason, answer)) = judge(error) else {
        return;
    };
    stats.failed(reason);
    if let Some(status) = answer {
        stats.answered(status);
    }
}

/// The reason, and the status that the client has got.
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
    // What this side has found wrong with the connection, and not what the other side says.
    let h2 = cause_ref::<h2::Error>(&**error)?;
    (h2.is_library() && h2.is_go_away()).then_some(("malformed", None))
}

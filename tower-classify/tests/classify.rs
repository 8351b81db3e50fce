//! Classification of errors and results.

use std::error::Error;
use std::fmt;
use std::io;

use tower_classify::{
    BoxError, Class, Classify, ErrorChain, ErrorIsFailure, FailureKind, Refusal, RefusalKind,
    Unsent, cause_ref,
};

#[derive(Debug)]
struct Outer(BoxError);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("outer")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

fn chain(error: impl Into<BoxError>) -> Class {
    ErrorChain::class(&Outer(error.into()))
}

#[test]
fn an_error_is_classified_by_its_chain() {
    let disconnected = Class::failure(FailureKind::Disconnected);
    assert_eq!(chain("broken"), disconnected);
    assert_eq!(chain(Unsent::new("refused")), Class::Unsent);
    assert_eq!(
        chain(io::Error::from(io::ErrorKind::TimedOut)),
        Class::failure(FailureKind::Timeout)
    );
    // The error may come from an intermediary, after the request was sent.
    let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    assert_eq!(chain(refused), disconnected);
    // A connection attempt that timed out: `Unsent` takes precedence over its cause.
    let timed_out = io::Error::from(io::ErrorKind::TimedOut);
    assert_eq!(chain(Unsent::new(timed_out)), Class::Unsent);
}

#[test]
fn a_cause_is_found_at_any_depth() {
    let error = Outer(Outer("root".into()).into());
    assert!(cause_ref::<Outer>(&error).is_some());
    assert!(cause_ref::<Unsent>(&error).is_none());
    let error = Outer(Unsent::new(io::Error::from(io::ErrorKind::Other)).into());
    assert!(cause_ref::<io::Error>(&error).is_some());
}

#[cfg(feature = "h2")]
#[test]
fn a_refused_stream_was_not_processed() {
    assert_eq!(
        chain(h2::Error::from(h2::Reason::REFUSED_STREAM)),
        Class::Unsent
    );
    assert_eq!(
        chain(h2::Error::from(h2::Reason::INTERNAL_ERROR)),
        Class::failure(FailureKind::Disconnected)
    );
}

/// As with `tower::classify::refusal`.
#[test]
fn of_several_causes_the_outermost_decides() {
    let refusal = Refusal::new(RefusalKind::FailFast);
    assert_eq!(chain(refusal), Class::failure(FailureKind::Unavailable));
    // The source of such an I/O error is that of its content.
    let timed_out = io::Error::new(io::ErrorKind::TimedOut, Outer(refusal.into()));
    assert!(cause_ref::<Refusal>(&timed_out).is_some());
    assert_eq!(chain(timed_out), Class::failure(FailureKind::Timeout));
}

#[test]
fn by_default_an_error_is_a_failure_and_a_response_a_success() {
    let classify = |result| Classify::<(), (), ()>::classify(&ErrorIsFailure, &(), result);
    assert_eq!(classify(Ok(&())), Class::Success);
    let Class::Failure(failure) = classify(Err(&())) else {
        panic!("not a failure");
    };
    assert!(failure.is_transient());
    assert!(Class::Unsent.is_failure());
    assert!(!Class::Ignored.is_failure() && !Class::Ignored.is_success());
}

use std::fmt;

use tower_classify::{Class, Classify, Failure, FailureKind};

/// The classification of [`FallbackLayer::when`](crate::FallbackLayer::when): the errors that a predicate accepts are failures, and
/// other results are not.
#[derive(Clone, Copy)]
pub struct When<P>(pub(crate) P);

impl<P, Req, Res, E> Classify<Req, Res, E> for When<P>
where
    P: Fn(&E) -> bool,
{
    type Info = ();

    #[inline]
    fn info(&self, _request: &Req) {}

    #[inline]
    fn classify(&self, (): &(), result: Result<&Res, &E>) -> Class {
        match result {
            Ok(_) => Class::Success,
            Err(error) if (self.0)(error) => Failure::new(FailureKind::Unknown).into(),
            Err(_) => Class::Ignored,
        }
    }
}

impl<P> fmt::Debug for When<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("When")
    }
}

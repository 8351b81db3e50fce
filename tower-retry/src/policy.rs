use std::future::Future;

/// Says which requests are sent again. See the [crate's documentation](crate#example) for one.
pub trait Policy<Req, Res, E> {
    /// Finishes when the next attempt may begin.
    type Future: Future<Output = ()>;

    /// Whether to try again after `result`, and when.
    ///
    /// `None` returns the result to the caller; the policy may have changed it. Otherwise `req`, which may be changed as
    /// well, is sent when the future has finished.
    ///
    /// Not called if the request could not be cloned.
    fn retry(&mut self, req: &mut Req, result: &mut Result<Res, E>) -> Option<Self::Future>;

    /// A copy of the request for a further attempt, made before each attempt. With `None` the attempt is the last.
    fn clone_request(&mut self, req: &Req) -> Option<Req>;
}

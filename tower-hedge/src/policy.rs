/// Decides which requests may be sent twice.
pub trait Policy<Request> {
    /// A copy of `req` to send later, or `None` if there can be no second request. Asked when the request is made, if
    /// enough is known about how long requests take.
    fn clone_request(&self, req: &Request) -> Option<Request>;

    /// Whether to send the copy now, when the first request has turned out to be slow. If not, the first one is waited
    /// for.
    fn can_retry(&self, req: &Request) -> bool;
}

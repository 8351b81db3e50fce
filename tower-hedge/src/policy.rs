/// Decides which requests may be sent twice.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which requests of type `{Request}` may be sent twice",
    note = "implement `Policy`, or say it with `.when(|request: &{Request}| ...)`; requests must then be `Clone`"
)]
pub trait Policy<Request> {
    /// A copy of `req` to send later, or `None` if there can be no second request. Asked when the request is made, if
    /// enough is known about how long requests take.
    fn clone_request(&self, req: &Request) -> Option<Request>;

    /// Whether to send the copy now, when the first request has turned out to be slow. If not, the first one is waited
    /// for.
    fn can_retry(&self, req: &Request) -> bool;

    /// Changes the copy before it is sent, as the one after `attempts` others: to mark it, for example. By default it is
    /// sent as it is.
    ///
    /// Not a method, since tower 0.5.3 does not have it: a method of the same name of your own trait stays unambiguous.
    fn prepare_copy(policy: &Self, req: &mut Request, attempts: u32)
    where
        Self: Sized,
    {
        let _ = (policy, req, attempts);
    }
}

/// Requests may be sent twice for which a closure says so; see [`Builder::when`](crate::Builder::when).
#[derive(Clone, Copy)]
pub struct When<F> {
    condition: F,
}

impl<F> When<F> {
    pub(crate) const fn new(condition: F) -> Self {
        Self { condition }
    }
}

impl<F, Request> Policy<Request> for When<F>
where
    F: Fn(&Request) -> bool,
    Request: Clone,
{
    fn clone_request(&self, req: &Request) -> Option<Request> {
        (self.condition)(req).then(|| req.clone())
    }

    fn can_retry(&self, _req: &Request) -> bool {
        true
    }
}

impl<F> std::fmt::Debug for When<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("When").finish_non_exhaustive()
    }
}

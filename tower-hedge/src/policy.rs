/// Decides which requests may be hedged.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not decide which requests of type `{Request}` may be hedged",
    note = "implement `Policy`, or use `.when(|request: &{Request}| ...)`; requests must then be `Clone`"
)]
pub trait Policy<Request> {
    /// Returns a copy of `req` for a hedge, or `None` if it must not be hedged. Called when the request is sent, if
    /// there are enough samples.
    fn clone_request(&self, req: &Request) -> Option<Request>;

    /// Returns whether to send the copy, now that the first attempt is slow. If not, only the first attempt continues.
    fn can_retry(&self, req: &Request) -> bool;

    /// Changes the copy before it is sent, for example to mark it; `attempts` other attempts were sent before. By
    /// default the copy is unchanged.
    ///
    /// This is not a method, because tower 0.5.3 does not have it: a method of the same name in a trait of your own
    /// would become ambiguous.
    fn prepare_copy(policy: &Self, req: &mut Request, attempts: u32)
    where
        Self: Sized,
    {
        let _ = (policy, req, attempts);
    }
}

/// Hedges the requests for which a closure returns `true`; see [`Builder::when`](crate::Builder::when).
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

/// What a picker needs of the balancer. A method that returns a constant, which the compiler sees through.
#[derive(Clone, Copy, Debug)]
pub struct Hints {
    /// Whether the choice depends on the request. If not, it is made in `poll_ready`, before there is a request, and
    /// confirmed by another poll of the endpoint; `sent` is not called, and `None` means that there is no endpoint.
    pub by_request: bool,
    /// Whether to choose anew when the balancer is polled again before there is a request. If not, the choice is kept
    /// while the endpoint stays ready.
    pub repicks: bool,
    /// Whether `inserted` and `removed` are called.
    pub tracks: bool,
}

impl Hints {
    /// Of a picker that looks at neither the request nor the changes of the endpoints.
    pub const NOTHING: Self = Self {
        by_request: false,
        repicks: false,
        tracks: false,
    };
}

impl Default for Hints {
    fn default() -> Self {
        Self {
            by_request: true,
            repicks: false,
            tracks: true,
        }
    }
}

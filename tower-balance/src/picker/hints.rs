/// What a picker requires of the balancer. It is returned by a method rather than set, so that the compiler can
/// optimize for the constant.
#[derive(Clone, Copy, Debug)]
pub struct Hints {
    /// Whether the choice depends on the request. If not, `poll_ready` picks an endpoint, before there is a request,
    /// and polls it again; `sent` is not called, and `None` means that there is no endpoint.
    pub by_request: bool,
    /// Whether to pick again when the balancer is polled again before there is a request. If not, the picked endpoint
    /// is kept while it stays ready.
    pub repicks: bool,
    /// Whether `inserted` and `removed` are called.
    pub tracks: bool,
}

impl Hints {
    /// For a picker that uses neither the request nor the changes of the endpoints.
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

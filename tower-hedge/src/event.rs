/// What happens to slow requests, as told to [`Builder::on_event`](crate::Builder::on_event).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A request was sent again.
    Sent {
        /// Which attempt it is; the first request is 1.
        attempt: u32,
    },
    /// The budget did not allow to send one again.
    NoBudget,
    /// The policy did not allow to send one again, when the time had come.
    Refused,
    /// An answer has come first that is not the first request's.
    Won {
        /// Whose it is.
        attempt: u32,
    },
}

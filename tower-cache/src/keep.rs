/// Decides which responses are stored. Implemented for each `Fn(&Res) -> bool`, and for [`KeepAll`].
pub trait Keep<Res> {
    /// Returns whether `response` may be stored and returned to other requests.
    fn keeps(&self, response: &Res) -> bool;
}

impl<F, Res> Keep<Res> for F
where
    F: Fn(&Res) -> bool,
{
    fn keeps(&self, response: &Res) -> bool {
        self(response)
    }
}

/// Stores every response, and no error. The default of [`CacheLayer`](crate::CacheLayer).
#[derive(Clone, Copy, Debug, Default)]
pub struct KeepAll;

impl<Res> Keep<Res> for KeepAll {
    fn keeps(&self, _response: &Res) -> bool {
        true
    }
}

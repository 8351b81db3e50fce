use std::fmt;

use tower_util::Tried;

use super::{Endpoints, PickContext, Picker};
use crate::policy::hash;

/// Chooses as `P` does, but for requests that were sent before: these go to an endpoint that they were not sent to, if one is
/// ready. See [`Balance::avoid_tried`](crate::p2c::Balance::avoid_tried).
pub struct AvoidTried<P, Req> {
    inner: P,
    find: fn(&Req) -> Option<&Tried>,
    /// Sets the endpoints of this balancer apart from those of others that the request may have passed.
    salt: u64,
}

impl<P, Req> AvoidTried<P, Req> {
    pub(crate) const fn new(inner: P, find: fn(&Req) -> Option<&Tried>, salt: u64) -> Self {
        Self { inner, find, salt }
    }

    fn number(&self, endpoints: &impl Endpoints, index: usize) -> u64 {
        hash::mix(self.salt, endpoints.id(index) as u64)
    }
}

impl<P, E, Req> Picker<E, Req> for AvoidTried<P, Req>
where
    P: Picker<E, Req>,
    E: Endpoints,
{
    const BY_REQUEST: bool = true;
    const TRACKS: bool = P::TRACKS;

    fn pick<C: PickContext>(
        &mut self,
        endpoints: &E,
        request: Option<&Req>,
        cx: &mut C,
    ) -> Option<usize> {
        let picked = self.inner.pick(endpoints, request, cx)?;
        if picked >= endpoints.ready_len() {
            return None;
        }
        let Some(tried) = request.and_then(self.find) else {
            return Some(picked);
        };
        let is_new = |index: &usize| !tried.contains(self.number(endpoints, *index));
        if is_new(&picked) {
            return Some(picked);
        }
        let ready = endpoints.ready_len();
        let start = cx.next_range(0..ready as u64) as usize;
        // One without weight is none, unless the others have none either.
        let has_weight =
            |index: &usize| endpoints.weight(*index) > 0 || endpoints.weight(picked) == 0;
        // Among so many, at least two were not tried, if there are two.
        let some = (0..ready.min(tried.len() + 2)).map(|step| (start + step) % ready);
        let lesser = |one, other| match endpoints.load(other) < endpoints.load(one) {
            true => other,
            false => one,
        };
        some.filter(is_new)
            .filter(has_weight)
            .take(2)
            .reduce(lesser)
            .or(Some(picked))
    }

    fn sent(&mut self, endpoints: &E, index: usize, request: &Req) {
        self.inner.sent(endpoints, index, request);
        if let Some(tried) = (self.find)(request) {
            tried.insert(self.number(endpoints, index));
        }
    }

    fn inserted(&mut self, endpoints: &E, id: usize) {
        self.inner.inserted(endpoints, id);
    }

    fn removed(&mut self, id: usize) {
        self.inner.removed(id);
    }
}

impl<P: fmt::Debug, Req> fmt::Debug for AvoidTried<P, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AvoidTried")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

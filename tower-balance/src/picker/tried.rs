use std::fmt;

use tower_util::Tried;

use super::random::{Draw, draw_of};
use super::{Endpoints, Hints, PickContext, Picker};
use crate::policy::hash;

/// Picks like `P`, but sends a retry to an endpoint that the request was not sent to before, if one is ready. See
/// [`Balance::avoid_tried`](crate::p2c::Balance::avoid_tried).
pub struct AvoidTried<P, Req> {
    inner: P,
    find: fn(&Req) -> Option<&Tried>,
    /// Distinguishes this balancer's endpoints from those of other balancers that the request may have passed through.
    salt: u64,
    draw: Draw,
}

impl<P, Req> AvoidTried<P, Req> {
    pub(crate) const fn new(inner: P, find: fn(&Req) -> Option<&Tried>, salt: u64) -> Self {
        Self {
            inner,
            find,
            salt,
            draw: Draw::new(),
        }
    }

    /// Returns the less loaded of two untried endpoints drawn by weight, or the first if their weights differ, because
    /// their loads are not comparable then. Returns `None` if there is none.
    fn another<E: Endpoints>(
        &mut self,
        endpoints: &E,
        picked: usize,
        is_new: &impl Fn(&usize) -> bool,
        cx: &mut impl PickContext,
    ) -> Option<usize> {
        // An endpoint of weight 0 is not eligible, unless the picked one has weight 0 too.
        let weights_count = endpoints.weight(picked) > 0;
        let weight = |index| match weights_count {
            true => endpoints.weight(index),
            false => 1,
        };
        let mut draw = |but: Option<usize>| {
            let may_be = |index: &usize| is_new(index) && Some(*index) != but;
            // Nearly always, one of a few drawn endpoints is untried. If not, consider all endpoints.
            let draws = if weights_count { MAX_DRAWS } else { 0 };
            let mut drawn = (0..draws).filter_map(|_| self.draw.draw(endpoints, cx));
            drawn.find(may_be).or_else(|| {
                let others = (0..endpoints.ready_len()).filter(may_be);
                let weighted = others.map(|index| (index, weight(index)));
                draw_of(weighted.filter(|(_, weight)| *weight > 0), cx)
            })
        };
        let first = draw(None)?;
        let Some(second) = draw(Some(first)) else {
            return Some(first);
        };
        let are_equal = weight(first) == weight(second);
        let is_less = endpoints.load(second) < endpoints.load(first);
        Some(if are_equal && is_less { second } else { first })
    }
}

impl<P, E, Req> Picker<E, Req> for AvoidTried<P, Req>
where
    P: Picker<E, Req>,
    E: Endpoints,
{
    #[inline]
    fn hints(&self) -> Hints {
        Hints {
            by_request: true,
            repicks: false,
            tracks: self.inner.hints().tracks,
        }
    }

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
        // There is no other.
        if endpoints.ready_len() == 1 {
            return Some(picked);
        }
        let Some(tried) = request.and_then(self.find) else {
            return Some(picked);
        };
        let salt = self.salt;
        let is_new = |index: &usize| !tried.contains(number(salt, endpoints, *index));
        if is_new(&picked) {
            return Some(picked);
        }
        self.another(endpoints, picked, &is_new, cx)
            .or(Some(picked))
    }

    fn sent(&mut self, endpoints: &E, index: usize, request: &Req) {
        self.inner.sent(endpoints, index, request);
        if let Some(tried) = (self.find)(request) {
            tried.insert(number(self.salt, endpoints, index));
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

fn number(salt: u64, endpoints: &impl Endpoints, index: usize) -> u64 {
    hash::mix(salt, endpoints.id(index) as u64)
}

const MAX_DRAWS: usize = 8;

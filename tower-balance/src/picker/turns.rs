use super::{Endpoints, PickContext, Picker};
use crate::policy::{Stride, ZeroWeight};

/// One after the other, whatever their weights and loads. It begins with a random one, so that many balancers do not begin
/// with the same.
#[derive(Clone, Debug, Default)]
pub struct RoundRobin {
    next: Option<usize>,
}

impl RoundRobin {
    /// The picker.
    pub const fn new() -> Self {
        Self { next: None }
    }
}

impl<E: Endpoints, Req> Picker<E, Req> for RoundRobin {
    fn pick<C: PickContext>(
        &mut self,
        endpoints: &E,
        _: Option<&Req>,
        cx: &mut C,
    ) -> Option<usize> {
        let ready = endpoints.ready_len();
        let next = match self.next {
            Some(next) => next,
            None => cx.next_range(0..ready as u64) as usize,
        };
        let index = next.checked_rem(ready)?;
        self.next = Some(index + 1);
        Some(index)
    }
}

/// In turn, each as often as its weight says: gRPC's static stride scheduler, [`Stride`].
///
/// One of weight 0 gets nothing, unless all have it. When an endpoint comes or goes, or a weight has changed that is met, the
/// order is made anew with the next request; nothing else happens with endpoints that are not ready: they are passed over.
///
/// # Cost
///
/// A pick takes as many steps as the greatest weight is times the mean one, on the average. A new order takes a step for
/// each endpoint.
#[derive(Debug)]
pub struct WeightedRoundRobin {
    stride: Stride,
    /// The endpoints of `stride`, with the weights that it goes by.
    endpoints: Vec<(usize, u32)>,
    ids: Vec<usize>,
    outdated: bool,
}

impl WeightedRoundRobin {
    /// The picker.
    pub fn new() -> Self {
        Self {
            stride: Stride::new(&[], ZeroWeight::Never, 0),
            endpoints: Vec::new(),
            ids: Vec::new(),
            outdated: true,
        }
    }

    fn renew<E: Endpoints>(&mut self, endpoints: &E, cx: &mut impl PickContext) {
        let weights = self
            .ids
            .iter()
            .map(|&id| (id, endpoints.weight_of(id).unwrap_or(0)));
        self.endpoints = weights.collect();
        let weights: Vec<_> = self.endpoints.iter().map(|(_, weight)| *weight).collect();
        self.stride = Stride::new(&weights, ZeroWeight::Never, cx.next_u64() as u32);
        self.outdated = false;
    }
}

impl Default for WeightedRoundRobin {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: Endpoints, Req> Picker<E, Req> for WeightedRoundRobin {
    const TRACKS: bool = true;

    fn pick<C: PickContext>(
        &mut self,
        endpoints: &E,
        _: Option<&Req>,
        cx: &mut C,
    ) -> Option<usize> {
        if self.outdated {
            self.renew(endpoints, cx);
        }
        // Turns of endpoints that are not ready go to the next one.
        for _ in 0..self.endpoints.len() {
            let (id, weight) = self.endpoints[self.stride.pick()?];
            let Some(index) = endpoints.index_of(id) else {
                continue;
            };
            self.outdated |= endpoints.weight(index) != weight;
            return Some(index);
        }
        (endpoints.ready_len() > 0).then(|| cx.next_range(0..endpoints.ready_len() as u64) as usize)
    }

    fn inserted(&mut self, _endpoints: &E, id: usize) {
        if !self.ids.contains(&id) {
            self.ids.push(id);
        }
        self.outdated = true;
    }

    fn removed(&mut self, id: usize) {
        self.ids.retain(|&other| other != id);
        self.outdated = true;
    }
}

/// By chance, each with the probability that its weight says.
#[derive(Clone, Debug, Default)]
pub struct Random {
    draw: Draw,
}

impl Random {
    /// The picker.
    pub const fn new() -> Self {
        Self { draw: Draw::new() }
    }
}

impl<E: Endpoints, Req> Picker<E, Req> for Random {
    const TRACKS: bool = true;

    fn pick<C: PickContext>(
        &mut self,
        endpoints: &E,
        _: Option<&Req>,
        cx: &mut C,
    ) -> Option<usize> {
        self.draw.draw(endpoints, cx)
    }

    fn removed(&mut self, _id: usize) {
        self.draw.forget();
    }
}

/// Draws by weight: any endpoint, which is then taken as often as its weight is a part of the greatest one.
///
/// There is no table that would have to be made anew, and weights may change at any time. After so many that were not taken
/// the last one is: where the greatest weight is more than some 30 times the mean one, the shares are not exact.
#[derive(Clone, Debug, Default)]
pub(super) struct Draw {
    /// The greatest weight that was met.
    greatest: u32,
}

impl Draw {
    pub(super) const fn new() -> Self {
        Self { greatest: 0 }
    }

    pub(super) fn draw<E: Endpoints>(
        &mut self,
        endpoints: &E,
        cx: &mut impl PickContext,
    ) -> Option<usize> {
        let ready = endpoints.ready_len() as u64;
        if ready == 0 {
            return None;
        }
        let mut index = 0;
        for _ in 0..MOST_DRAWS {
            index = cx.next_range(0..ready) as usize;
            let weight = endpoints.weight(index);
            self.greatest = self.greatest.max(weight);
            if weight == self.greatest || cx.next_range(0..self.greatest.into()) < weight.into() {
                break;
            }
        }
        Some(index)
    }

    /// The endpoint with the greatest weight may have gone.
    pub(super) fn forget(&mut self) {
        self.greatest = 0;
    }
}

const MOST_DRAWS: usize = 64;

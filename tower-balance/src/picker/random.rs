use super::{Endpoints, Hints, PickContext, Picker};

/// Picks at random, each endpoint in proportion to its weight.
#[derive(Clone, Debug, Default)]
pub struct Random {
    draw: Draw,
}

impl Random {
    /// Creates the picker.
    pub const fn new() -> Self {
        Self { draw: Draw::new() }
    }
}

impl<E: Endpoints, Req> Picker<E, Req> for Random {
    #[inline]
    fn hints(&self) -> Hints {
        Hints::NOTHING
    }

    fn pick<C: PickContext>(
        &mut self,
        endpoints: &E,
        _: Option<&Req>,
        cx: &mut C,
    ) -> Option<usize> {
        self.draw.draw(endpoints, cx)
    }
}

/// Draws by weight with rejection sampling: draws any endpoint, and accepts it with the ratio of its weight to the
/// greatest one.
///
/// There is no table to rebuild, so weights may change at any time. After 64 rejections, which occur if the greatest
/// weight is more than about 30 times the mean, it considers all endpoints.
#[derive(Clone, Debug, Default)]
pub(super) struct Draw {
    /// The greatest weight seen, or 0 if it is not known.
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
        for _ in 0..if self.greatest == 0 { 0 } else { MAX_DRAWS } {
            let index = cx.next_range(0..ready) as usize;
            let weight = endpoints.weight(index);
            if weight > self.greatest {
                break;
            }
            if weight == self.greatest || cx.next_range(0..self.greatest.into()) < weight.into() {
                return Some(index);
            }
        }
        // Endpoints of greater weight may be gone, or their weight may have changed.
        let all = (0..endpoints.ready_len()).map(|index| (index, endpoints.weight(index)));
        self.greatest = all.clone().map(|(_, weight)| weight).max().unwrap_or(0);
        draw_of(all, cx)
    }

    /// Draws an endpoint other than `first`, if there is one, by the weights of the others.
    pub(super) fn draw_other<E: Endpoints>(
        &mut self,
        endpoints: &E,
        first: usize,
        cx: &mut impl PickContext,
    ) -> Option<usize> {
        let drawn = (0..REDRAWS).find_map(|_| {
            let drawn = self.draw(endpoints, cx)?;
            (drawn != first).then_some(drawn)
        });
        if drawn.is_some() || endpoints.ready_len() < 2 {
            return drawn.or(Some(first));
        }
        // `first` has nearly all of the weight.
        let others = (0..endpoints.ready_len()).filter(|index| *index != first);
        draw_of(others.map(|index| (index, endpoints.weight(index))), cx)
    }
}

/// Draws one of these endpoints by weight. If all weights are 0 they are treated as equal. Returns `None` if there are
/// no endpoints.
pub(super) fn draw_of(
    among: impl Iterator<Item = (usize, u32)> + Clone,
    cx: &mut impl PickContext,
) -> Option<usize> {
    let sum: u64 = among.clone().map(|(_, weight)| u64::from(weight)).sum();
    let part = |weight| if sum == 0 { 1 } else { u64::from(weight) };
    let all = match sum {
        0 => among.clone().count() as u64,
        sum => sum,
    };
    let mut left = cx.next_range(0..all);
    let mut drawn = None;
    for (index, weight) in among {
        // If the weights have changed since they were summed, the last endpoint is drawn.
        drawn = Some(index);
        if left < part(weight) {
            break;
        }
        left -= part(weight);
    }
    drawn
}

const MAX_DRAWS: usize = 64;
/// The number of draws for a second endpoint that differs from the first, as in Finagle.
const REDRAWS: usize = 5;

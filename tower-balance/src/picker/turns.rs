use std::collections::{BTreeMap, HashMap};

use super::{Endpoints, Hints, PickContext, Picker};
use crate::policy::stride;

/// Round robin: picks the ready endpoints in turn, regardless of weight and load. It starts at a random endpoint, so
/// that many balancers do not start at the same one.
#[derive(Clone, Debug, Default)]
pub struct RoundRobin {
    next: Option<usize>,
}

impl RoundRobin {
    /// Creates the picker.
    pub const fn new() -> Self {
        Self { next: None }
    }
}

impl<E: Endpoints, Req> Picker<E, Req> for RoundRobin {
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

/// Weighted round robin: picks endpoints in turn, in proportion to their weights, with the static stride scheduler of
/// gRPC: see [`Stride`](crate::policy::Stride).
///
/// An endpoint of weight 0 receives no requests, unless all weights are 0. Endpoints that are not ready are skipped. A
/// change of a weight takes effect at the endpoint's next turn.
///
/// # Cost
///
/// On average, a pick takes as many steps as the ratio of the greatest to the mean weight; after 128 steps it picks at
/// random. Adding or removing one of n endpoints, or changing its weight, takes O(log n).
#[derive(Clone, Debug, Default)]
pub struct WeightedRoundRobin {
    /// The endpoints with their last known weights.
    order: Vec<(usize, u32)>,
    /// The index in `order` of each endpoint number.
    positions: HashMap<usize, usize>,
    /// The number of endpoints of each weight, to find the greatest weight.
    weights: BTreeMap<u32, usize>,
    /// The number of turns so far.
    turns: Option<u64>,
    /// Used if no ready endpoint takes a turn within the limit.
    draw: Draw,
}

impl WeightedRoundRobin {
    /// Creates the picker.
    pub fn new() -> Self {
        Self::default()
    }

    fn set_weight(&mut self, position: usize, weight: u32) {
        let old = std::mem::replace(&mut self.order[position].1, weight);
        self.count_off(old);
        *self.weights.entry(weight).or_default() += 1;
    }

    fn count_off(&mut self, weight: u32) {
        if let Some(count) = self.weights.get_mut(&weight) {
            *count -= 1;
            if *count == 0 {
                self.weights.remove(&weight);
            }
        }
    }
}

impl<E: Endpoints, Req> Picker<E, Req> for WeightedRoundRobin {
    #[inline]
    fn hints(&self) -> Hints {
        Hints {
            tracks: true,
            ..Hints::NOTHING
        }
    }

    fn pick<C: PickContext>(
        &mut self,
        endpoints: &E,
        _: Option<&Req>,
        cx: &mut C,
    ) -> Option<usize> {
        let ready = endpoints.ready_len();
        let count = self.order.len() as u64;
        let mut turns = *self.turns.get_or_insert_with(|| cx.next_u64() >> 32);
        // The endpoint of the greatest weight takes every turn, but it may not be ready, or be one of very many.
        for _ in 0..if ready == 0 { 0 } else { MAX_TURNS } {
            let (round, position) = (turns / count.max(1), turns % count.max(1));
            turns += 1;
            let Some(&(id, known)) = self.order.get(position as usize) else {
                break;
            };
            // The weight may have changed.
            let weight = endpoints.weight_of(id).unwrap_or(known);
            if weight != known {
                self.set_weight(position as usize, weight);
            }
            let greatest = self
                .weights
                .last_key_value()
                .map_or(0, |(weight, _)| *weight);
            let scaled = if greatest == 0 {
                stride::MAX
            } else {
                stride::scale(weight, greatest)
            };
            if stride::takes_turn(scaled, round, position)
                && let Some(index) = endpoints.index_of(id)
            {
                self.turns = Some(turns);
                return Some(index);
            }
        }
        self.turns = Some(turns);
        self.draw.draw(endpoints, cx)
    }

    fn inserted(&mut self, endpoints: &E, id: usize) {
        let Some(weight) = endpoints.weight_of(id) else {
            return;
        };
        match self.positions.get(&id) {
            Some(&position) => self.set_weight(position, weight),
            None => {
                self.positions.insert(id, self.order.len());
                self.order.push((id, weight));
                *self.weights.entry(weight).or_default() += 1;
            }
        }
    }

    fn removed(&mut self, id: usize) {
        let Some(position) = self.positions.remove(&id) else {
            return;
        };
        let (_, weight) = self.order.swap_remove(position);
        self.count_off(weight);
        if let Some((moved, _)) = self.order.get(position) {
            self.positions.insert(*moved, position);
        }
    }
}

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
/// Enough for the heaviest endpoint to have a turn, unless there are many endpoints.
const MAX_TURNS: u64 = 128;

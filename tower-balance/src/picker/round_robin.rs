use std::collections::{BTreeMap, HashMap};

use super::random::Draw;
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

/// Weighted round robin: picks endpoints in turn, in proportion to their weights, with gRPC's static stride
/// scheduler: see [`Stride`](crate::policy::Stride).
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

/// Enough for the heaviest endpoint to have a turn, unless there are many endpoints.
const MAX_TURNS: u64 = 128;

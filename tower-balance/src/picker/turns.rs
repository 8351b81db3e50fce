use std::collections::{BTreeMap, HashMap};

use super::{Endpoints, PickContext, Picker};
use crate::policy::stride;

/// One after the other of those that are ready, whatever their weights and loads. It begins with a random one, so that many balancers do not begin
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

/// In turn, each as often as its weight says: gRPC's static stride scheduler, [`Stride`](crate::policy::Stride).
///
/// One of weight 0 gets nothing, unless all have it. Those that are not ready are passed over. A weight that has changed is
/// noticed when it is its endpoint's turn.
///
/// # Cost
///
/// A pick takes as many steps as the greatest weight is times the mean one, on the average; after 128 it is by chance. An
/// endpoint that comes, goes or changes its weight among n takes O(log n).
#[derive(Clone, Debug, Default)]
pub struct WeightedRoundRobin {
    /// The endpoints with the weights that they go by.
    order: Vec<(usize, u32)>,
    /// Where in `order` each number is.
    places: HashMap<usize, usize>,
    /// How many have each weight, to know the greatest.
    weights: BTreeMap<u32, usize>,
    /// The turns so far.
    turns: Option<u64>,
    /// For when nobody's turn comes soon.
    draw: Draw,
}

impl WeightedRoundRobin {
    /// The picker.
    pub fn new() -> Self {
        Self::default()
    }

    fn set_weight(&mut self, place: usize, weight: u32) {
        let old = std::mem::replace(&mut self.order[place].1, weight);
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
    const TRACKS: bool = true;

    fn pick<C: PickContext>(
        &mut self,
        endpoints: &E,
        _: Option<&Req>,
        cx: &mut C,
    ) -> Option<usize> {
        let ready = endpoints.ready_len();
        let count = self.order.len() as u64;
        let mut turns = *self.turns.get_or_insert_with(|| cx.next_u64() >> 32);
        // Each of the heaviest takes every turn that it has. But it may not be ready, or one of very many.
        for _ in 0..if ready == 0 { 0 } else { MOST_TURNS } {
            let (round, place) = (turns / count.max(1), turns % count.max(1));
            turns += 1;
            let Some(&(id, known)) = self.order.get(place as usize) else {
                break;
            };
            // It may have changed since.
            let weight = endpoints.weight_of(id).unwrap_or(known);
            if weight != known {
                self.set_weight(place as usize, weight);
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
            if stride::takes_turn(scaled, round, place)
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
        match self.places.get(&id) {
            Some(&place) => self.set_weight(place, weight),
            None => {
                self.places.insert(id, self.order.len());
                self.order.push((id, weight));
                *self.weights.entry(weight).or_default() += 1;
            }
        }
    }

    fn removed(&mut self, id: usize) {
        let Some(place) = self.places.remove(&id) else {
            return;
        };
        let (_, weight) = self.order.swap_remove(place);
        self.count_off(weight);
        if let Some((moved, _)) = self.order.get(place) {
            self.places.insert(*moved, place);
        }
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
    fn pick<C: PickContext>(
        &mut self,
        endpoints: &E,
        _: Option<&Req>,
        cx: &mut C,
    ) -> Option<usize> {
        self.draw.draw(endpoints, cx)
    }
}

/// Draws by weight: any endpoint, which is then taken as often as its weight is a part of the greatest one.
///
/// There is no table that would have to be made anew, and weights may change at any time. After so many that were not taken, as
/// there are where the greatest weight is more than some 30 times the mean one, it looks at all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Draw {
    /// The greatest weight that was met, and 0 as long as it is not known.
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
        for _ in 0..if self.greatest == 0 { 0 } else { MOST_DRAWS } {
            let index = cx.next_range(0..ready) as usize;
            let weight = endpoints.weight(index);
            if weight > self.greatest {
                break;
            }
            if weight == self.greatest || cx.next_range(0..self.greatest.into()) < weight.into() {
                return Some(index);
            }
        }
        // Those that were greater may have gone, or changed.
        let all = (0..endpoints.ready_len()).map(|index| (index, endpoints.weight(index)));
        self.greatest = all.clone().map(|(_, weight)| weight).max().unwrap_or(0);
        draw_of(all, cx)
    }

    /// Another one than `first`, if there is another, by the weights of the others.
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
        // It has nearly all of the weight.
        let others = (0..endpoints.ready_len()).filter(|index| *index != first);
        draw_of(others.map(|index| (index, endpoints.weight(index))), cx)
    }
}

/// One of these, each with its weight, by weight. If none has any, each is as likely as any other; `None` if there is none.
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
        // The weights may have changed since they were added up. Then it is the last one.
        drawn = Some(index);
        if left < part(weight) {
            break;
        }
        left -= part(weight);
    }
    drawn
}

const MOST_DRAWS: usize = 64;
/// As in Finagle.
const REDRAWS: usize = 5;
/// Enough for the heaviest to have a turn, if there are few.
const MOST_TURNS: u64 = 128;

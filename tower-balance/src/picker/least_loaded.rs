use std::cmp::Ordering;

use super::turns::Draw;
use super::{Endpoints, PickContext, Picker};
use crate::policy::least_request;

/// The less loaded for its weight, out of some that are drawn by weight, or out of all.
///
/// More choices than two make the best endpoint ever more attractive, which is good with one balancer and bad with many: all
/// of them run to the same endpoint. Compared is load by weight; an endpoint of weight 0 gets a request only if all have it.
///
/// # Cost
///
/// That of so many draws and loads: [`LeastLoaded::of_all`] looks at each ready endpoint.
#[derive(Clone, Debug)]
pub struct LeastLoaded {
    choices: usize,
    draw: Draw,
}

impl LeastLoaded {
    /// Out of two.
    pub const fn new() -> Self {
        Self::of(2)
    }

    /// Out of so many; one at least.
    pub const fn of(choices: usize) -> Self {
        Self {
            choices: if choices == 0 { 1 } else { choices },
            draw: Draw::new(),
        }
    }

    /// Out of all.
    pub const fn of_all() -> Self {
        Self::of(usize::MAX)
    }
}

impl Default for LeastLoaded {
    fn default() -> Self {
        Self::new()
    }
}

impl<E, Req> Picker<E, Req> for LeastLoaded
where
    E: Endpoints<Load: Into<f64>>,
{
    fn pick<C: PickContext>(
        &mut self,
        endpoints: &E,
        _: Option<&Req>,
        cx: &mut C,
    ) -> Option<usize> {
        let ready = endpoints.ready_len();
        let candidate = |index| {
            let load: f64 = endpoints.load(index).into();
            (index, (load, f64::from(endpoints.weight(index))))
        };
        let lesser =
            |one: (usize, _), other: (usize, _)| match least_request::compare(other.1, one.1)
                == Ordering::Less
            {
                true => other,
                false => one,
            };
        let best = if self.choices >= ready {
            // From a random one on: that among equals it is not always the first.
            let start = cx.next_range(0..ready as u64) as usize;
            (0..ready)
                .map(|step| candidate((start + step) % ready))
                .reduce(lesser)
        } else {
            let mut last = None;
            let mut draw = || {
                // A second one that is another one, by a few more draws; after these it is the next one.
                let other = |index: &usize| Some(*index) != last;
                let drawn = (0..REDRAWS)
                    .filter_map(|_| self.draw.draw(endpoints, cx))
                    .find(other);
                let index =
                    drawn.unwrap_or_else(|| last.map_or(0, |last: usize| (last + 1) % ready));
                last = Some(index);
                candidate(index)
            };
            (0..self.choices).map(|_| draw()).reduce(lesser)
        };
        best.map(|(index, _)| index)
    }
}

/// As in Finagle.
const REDRAWS: usize = 5;

use super::random::{Draw, draw_of};
use super::{Endpoints, Hints, PickContext, Picker};
use crate::policy::least_request::{is_over, is_whole, relative};

/// Picks the endpoint with the lowest load relative to its weight, out of several drawn by weight, or out of all.
///
/// More choices than two favour the best endpoint more strongly. That is good with one balancer and bad with many,
/// because all of them pick the same endpoint. The load is divided by the weight before it is compared. An endpoint of
/// weight 0 receives requests only if all weights are 0.
///
/// # Weights
///
/// Among idle endpoints, and among endpoints whose loads are equal relative to their weights, requests are distributed
/// at random in proportion to the weights. Loads that are whole numbers are treated as requests in flight, where a
/// difference of one request does not count between endpoints of different weight. Otherwise an endpoint of small
/// weight would get a request whenever it is idle, however much capacity the others have.
///
/// Other loads are compared as they are. With [`PeakEwma`](tower_load::PeakEwma), the load of an idle endpoint is its
/// latency, so that of two equally fast endpoints the one with the greater weight gets nearly all requests until it is
/// busy.
///
/// # What a failing endpoint receives
///
/// With requests in flight as the load, an endpoint that fails immediately always looks idle. While the others are
/// busy, it receives up to twice its share with two choices, and nearly all requests with [`of_all`](Self::of_all).
/// With [`PeakEwma`](tower_load::PeakEwma) it receives less than 0.5 %.
///
/// # Cost
///
/// One draw and one load per choice. [`LeastLoaded::of_all`] reads the load of each ready endpoint, and keeps 16 bytes
/// for each.
#[derive(Clone, Debug)]
pub struct LeastLoaded {
    choices: usize,
    draw: Draw,
    /// Scratch space: the load of each endpoint relative to its weight, and its weight.
    measured: Vec<(f64, u32)>,
}

impl LeastLoaded {
    /// Creates a picker that picks the less loaded of two endpoints.
    pub const fn new() -> Self {
        Self::of(2)
    }

    /// Creates a picker that picks the least loaded of `choices` endpoints; 0 counts as 1.
    pub const fn of(choices: usize) -> Self {
        Self {
            choices: if choices == 0 { 1 } else { choices },
            draw: Draw::new(),
            measured: Vec::new(),
        }
    }

    /// Creates a picker that picks the least loaded of all ready endpoints.
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
        if self.choices >= endpoints.ready_len() {
            self.pick_of_all(endpoints, cx)
        } else {
            self.pick_of_drawn(endpoints, cx)
        }
    }
}

impl LeastLoaded {
    fn pick_of_drawn<E>(&mut self, endpoints: &E, cx: &mut impl PickContext) -> Option<usize>
    where
        E: Endpoints<Load: Into<f64>>,
    {
        let mut drawn = self.draw.draw(endpoints, cx)?;
        let mut best = drawn;
        let mut least = measure(endpoints, drawn);
        for _ in 1..self.choices {
            drawn = self.draw.draw_other(endpoints, drawn, cx)?;
            let measured = measure(endpoints, drawn);
            // A tie goes to the endpoint that was drawn first, by weight.
            if is_over(least, measured) {
                (best, least) = (drawn, measured);
            }
        }
        Some(best)
    }

    fn pick_of_all<E>(&mut self, endpoints: &E, cx: &mut impl PickContext) -> Option<usize>
    where
        E: Endpoints<Load: Into<f64>>,
    {
        self.measured.clear();
        let (mut least, mut least_with_next) = (f64::INFINITY, f64::INFINITY);
        let mut are_counts = true;
        for index in 0..endpoints.ready_len() {
            let load = endpoints.load(index).into();
            let weight = endpoints.weight(index);
            let relative_load = relative(load, weight.into());
            let with_next = relative(load + 1.0, weight.into());
            // Faster than `min`; neither value is NaN.
            if relative_load < least {
                least = relative_load;
            }
            if with_next < least_with_next {
                least_with_next = with_next;
            }
            are_counts &= is_whole(load);
            self.measured.push((relative_load, weight));
        }
        // The endpoints to which no other is preferred, as in `is_over`.
        let is_least = |load: f64| match are_counts && least_with_next < f64::INFINITY {
            true => load < least_with_next,
            false => load <= least,
        };
        let all = self.measured.iter().enumerate();
        let ties = all.filter(|(_, (load, _))| is_least(*load));
        draw_of(ties.map(|(index, (_, weight))| (index, *weight)), cx)
    }
}

#[inline]
fn measure<E>(endpoints: &E, index: usize) -> (f64, f64)
where
    E: Endpoints<Load: Into<f64>>,
{
    let load = endpoints.load(index).into();
    (load, f64::from(endpoints.weight(index)))
}

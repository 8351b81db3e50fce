use super::turns::{Draw, draw_of};
use super::{Endpoints, PickContext, Picker};
use crate::policy::least_request::{is_over, is_whole, relative};

/// The less loaded for its weight, out of some that are drawn by weight, or out of all.
///
/// More choices than two make the best endpoint ever more attractive, which is good with one balancer and bad with many: all
/// of them run to the same endpoint. Compared is load by weight; an endpoint of weight 0 gets a request only if all have it.
///
/// # Weights
///
/// Endpoints that are idle get requests by chance, each with the probability that its weight says; so do those that are
/// equally loaded for their weights. Loads that are whole numbers are taken for requests in flight, of which one more or less
/// makes no difference between endpoints of different weight. Otherwise an endpoint of little weight would get a request
/// whenever it is idle, however much stronger the others are.
///
/// Other measures are compared as they are. By [`PeakEwma`](tower_load::PeakEwma) an idle endpoint is loaded with its latency,
/// so that of two that are as fast the stronger one gets nearly all requests until it is busy.
///
/// # What a failing endpoint draws
///
/// By requests in flight: an endpoint that fails at once is always idle. Beside others that are busy it draws up to twice its
/// share out of two, and nearly everything out of all. By [`PeakEwma`](tower_load::PeakEwma) it draws less than 0.5 %.
///
/// # Cost
///
/// That of as many draws and loads as there are choices. [`LeastLoaded::of_all`] looks at each ready endpoint, and keeps 16
/// bytes for each.
#[derive(Clone, Debug)]
pub struct LeastLoaded {
    choices: usize,
    draw: Draw,
    /// The loads of all for their weights, and the weights, while one of them is chosen.
    measured: Vec<(f64, u32)>,
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
            measured: Vec::new(),
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
            // If neither is to be preferred, it is the one that was drawn first, and that by weight.
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
            // Quicker than `min`, as none of them is NaN.
            if relative_load < least {
                least = relative_load;
            }
            if with_next < least_with_next {
                least_with_next = with_next;
            }
            are_counts &= is_whole(load);
            self.measured.push((relative_load, weight));
        }
        // Those of which no other one is to be preferred, as `is_over` has it.
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

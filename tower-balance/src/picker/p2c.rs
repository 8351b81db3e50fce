use tower_util::rng::sample_floyd2;

use super::{Endpoints, Hints, PickContext, Picker};

/// Picks the less loaded of two endpoints drawn at random: see [`p2c`](crate::p2c).
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct P2c;

impl P2c {
    /// Creates the picker.
    pub const fn new() -> Self {
        Self
    }
}

impl<E: Endpoints, Req> Picker<E, Req> for P2c {
    #[inline]
    fn hints(&self) -> Hints {
        Hints {
            repicks: true,
            ..Hints::NOTHING
        }
    }

    #[inline]
    fn pick<C: PickContext>(
        &mut self,
        endpoints: &E,
        _: Option<&Req>,
        cx: &mut C,
    ) -> Option<usize> {
        match endpoints.ready_len() {
            0 => None,
            1 => Some(0),
            ready => {
                let pair = sample_floyd2(cx, ready as u64).map(|index| index as usize);
                let [first, second] = pair.map(|index| endpoints.load(index));
                // Indexing instead of a branch, which would be unpredictable.
                Some(pair[usize::from(first > second)])
            }
        }
    }
}

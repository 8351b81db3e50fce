//! Random quantities.

use tower_util::rng::{Rng, SplitMix};

/// How much work a request is, in nanoseconds of one core.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Memoryless, with this mean.
    Exponential(f64),
    /// The bell curve with this mean and deviation, cut off at zero.
    Normal(f64, f64),
}

impl Work {
    /// The work of a request.
    pub fn draw(self, rng: &mut SplitMix) -> f64 {
        match self {
            Self::Exponential(mean) => exponential(rng, mean),
            Self::Normal(mean, deviation) => (mean + deviation * normal(rng)).max(1.0),
        }
    }

    /// Its mean.
    pub fn mean(self) -> f64 {
        match self {
            Self::Exponential(mean) => mean,
            // Of a deviation as great as the mean the cut adds a twelfth; otherwise none is near zero here.
            Self::Normal(mean, deviation) if deviation >= mean => mean * 1.0833,
            Self::Normal(mean, _) => mean,
        }
    }
}

/// The time to the next of independent events.
pub fn exponential(rng: &mut SplitMix, mean: f64) -> f64 {
    -(1.0 - rng.next_f64()).ln() * mean
}

/// Another generator, independent of this one for all that matters here.
pub fn fork(seed: u64, number: u64) -> SplitMix {
    let mut rng = SplitMix::with_seed(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
    SplitMix::with_seed(rng.next_u64())
}

/// Box and Muller's.
fn normal(rng: &mut SplitMix) -> f64 {
    let radius = (-2.0 * (1.0 - rng.next_f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.next_f64()).cos()
}

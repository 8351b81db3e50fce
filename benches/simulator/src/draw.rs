//! Random quantities.

use tower_util::rng::{Rng, SplitMix};

/// The distribution of the work of a request, in nanoseconds of one core.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// The exponential distribution with this mean.
    Exponential(f64),
    /// The normal distribution with this mean and standard deviation, cut off at zero.
    Normal(f64, f64),
}

impl Work {
    /// Draws the work of a request.
    pub fn draw(self, rng: &mut SplitMix) -> f64 {
        match self {
            Self::Exponential(mean) => exponential(rng, mean),
            Self::Normal(mean, deviation) => (mean + deviation * normal(rng)).max(1.0),
        }
    }

    /// Returns the mean.
    pub fn mean(self) -> f64 {
        match self {
            Self::Exponential(mean) => mean,
            // If the deviation equals the mean, the cutoff at zero adds a twelfth. In the other scenarios the mean is far from
            // zero.
            Self::Normal(mean, deviation) if deviation >= mean => mean * 1.0833,
            Self::Normal(mean, _) => mean,
        }
    }
}

/// Draws the time until the next of independent events.
pub fn exponential(rng: &mut SplitMix, mean: f64) -> f64 {
    -(1.0 - rng.next_f64()).ln() * mean
}

/// Creates the generator number `number` of a seed. They are independent enough for a simulation.
pub fn fork(seed: u64, number: u64) -> SplitMix {
    let mut rng = SplitMix::with_seed(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
    SplitMix::with_seed(rng.next_u64())
}

/// Draws from the standard normal distribution, by the Box-Muller transform.
fn normal(rng: &mut SplitMix) -> f64 {
    let radius = (-2.0 * (1.0 - rng.next_f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.next_f64()).cos()
}

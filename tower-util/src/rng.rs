//! Random numbers for pickers and jitter: fast, simple, and not cryptographic.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A source of random numbers. Implement it for your own generator, or for a seeded one in tests.
pub trait Rng {
    /// Returns a number from the full range of `u64`.
    fn next_u64(&mut self) -> u64;

    /// Returns a number from 0 up to, but not including, 1.
    fn next_f64(&mut self) -> f64 {
        // An `f64` has 53 bits of mantissa; the other bits are dropped.
        const SCALE: f64 = 1.0 / (1_u64 << 53) as f64;
        (self.next_u64() >> 11) as f64 * SCALE
    }

    /// Returns a number in `range`, or its start if it is empty.
    ///
    /// It is not exactly uniform: each probability is off by less than the length of the range in 2⁶⁴.
    fn next_range(&mut self, range: Range<u64>) -> u64 {
        match range.end.checked_sub(range.start) {
            None | Some(0) => range.start,
            // The high half of the product (D. Lemire): needs no division.
            Some(length) => {
                range.start + ((u128::from(self.next_u64()) * u128::from(length)) >> 64) as u64
            }
        }
    }
}

impl<R: Rng + ?Sized> Rng for Box<R> {
    fn next_u64(&mut self) -> u64 {
        (**self).next_u64()
    }
}

/// Generates random numbers by hashing a counter, by default with the randomly keyed hasher of the standard library.
///
/// # Clone
///
/// A clone yields the same numbers as the original.
#[derive(Clone, Debug)]
pub struct HasherRng<H = RandomState> {
    hasher: H,
    counter: u64,
}

impl HasherRng {
    /// Creates a generator with random keys.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Default for HasherRng {
    fn default() -> Self {
        Self::with_hasher(RandomState::default())
    }
}

impl<H> HasherRng<H> {
    /// Creates a generator with the given hasher. A hasher with fixed keys makes the numbers reproducible.
    pub const fn with_hasher(hasher: H) -> Self {
        Self { hasher, counter: 0 }
    }
}

impl<H: BuildHasher> Rng for HasherRng<H> {
    fn next_u64(&mut self) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(self.counter);
        self.counter = self.counter.wrapping_add(1);
        hasher.finish()
    }
}

/// SplitMix64: generates a random number in about a nanosecond.
///
/// # Clone
///
/// A clone yields the same numbers as the original.
///
/// # Implementation notes
///
/// G. Steele, D. Lea, C. Flood, *Fast Splittable Pseudorandom Number Generators*, OOPSLA 2014. Each number occurs once
/// per period of 2⁶⁴.
#[derive(Clone, Debug)]
pub struct SplitMix {
    state: u64,
}

impl SplitMix {
    /// Creates a generator with a random seed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a generator with the given seed. The same seed yields the same numbers.
    pub const fn with_seed(seed: u64) -> Self {
        Self { state: seed }
    }
}

impl Default for SplitMix {
    fn default() -> Self {
        Self::with_seed(RandomState::new().hash_one(0_u64))
    }
}

/// The distance of two states: 2⁶⁴ divided by the golden ratio, and odd.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

impl Rng for SplitMix {
    #[inline]
    fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A [`SplitMix`] whose clones draw from one sequence, for services that are cloned for each request: a clone of a [`SplitMix`]
/// would draw the same number each time.
///
/// # Cost
///
/// A number takes one atomic addition, on a cache line that threads with clones share.
#[derive(Clone, Debug)]
pub struct SharedSplitMix {
    state: Arc<AtomicU64>,
}

impl SharedSplitMix {
    /// Creates a generator with a random seed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a generator with the given seed. The same seed yields the same numbers, whichever clone draws them.
    pub fn with_seed(seed: u64) -> Self {
        Self {
            state: Arc::new(AtomicU64::new(seed)),
        }
    }

    /// Returns a generator of its own for one request, seeded with the next number.
    pub fn fork(&self) -> SplitMix {
        let state = self.state.fetch_add(GAMMA, Ordering::Relaxed);
        SplitMix::with_seed(SplitMix::with_seed(state).next_u64())
    }
}

impl Default for SharedSplitMix {
    fn default() -> Self {
        Self::with_seed(SplitMix::new().state)
    }
}

impl Rng for SharedSplitMix {
    #[inline]
    fn next_u64(&mut self) -> u64 {
        let state = self.state.fetch_add(GAMMA, Ordering::Relaxed);
        SplitMix::with_seed(state).next_u64()
    }
}

/// Draws two different numbers below `length`, each pair with the same probability (Floyd's sampling).
///
/// # Panics
///
/// If `length` is less than two.
pub fn sample_floyd2<R: Rng>(rng: &mut R, length: u64) -> [u64; 2] {
    assert!(
        length >= 2,
        "two different numbers need a length of at least two, not {length}"
    );
    let first = rng.next_range(0..length - 1);
    let second = rng.next_range(0..length);
    // If both are the same, the second becomes the one number that the first could not be.
    [if first == second { length - 1 } else { first }, second]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_draw_from_one_sequence() {
        let mut shared = SharedSplitMix::with_seed(7);
        let mut single = SplitMix::with_seed(7);
        for _ in 0..9 {
            assert_eq!(shared.clone().next_u64(), single.next_u64());
        }
        assert_eq!(shared.next_u64(), single.next_u64());
        assert_ne!(shared.fork().next_u64(), shared.fork().next_u64());
    }
}

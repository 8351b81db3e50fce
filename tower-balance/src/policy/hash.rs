//! Hashes that are the same in every process and on every machine, so that all clients make the same choice.
//!
//! They are fast, and do not protect against keys that are chosen to collide.

/// XXH64, the hash that Envoy and gRPC use.
///
/// ```
/// use tower_balance::policy::hash::xxh64;
///
/// assert_eq!(xxh64(b"", 0), 0xef46_db37_51d8_e999);
/// ```
#[inline]
pub fn xxh64(bytes: &[u8], seed: u64) -> u64 {
    xxhash_rust::xxh64::xxh64(bytes, seed)
}

/// Combines two hashes into one. The order matters.
///
/// # Implementation notes
///
/// The finalizer of SplitMix64, twice. With either argument fixed, different values of the other give different hashes.
#[inline]
pub const fn mix(first: u64, second: u64) -> u64 {
    finish(finish(first).wrapping_add(second))
}

const fn finish(z: u64) -> u64 {
    let z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the specification of xxHash and the tests of its implementations.
    #[test]
    fn xxh64_agrees_with_the_published_vectors() {
        assert_eq!(xxh64(b"a", 0), 0xd24e_c4f1_a98c_6e5b);
        assert_eq!(xxh64(b"abc", 0), 0x44bc_2cf5_ad77_0999);
        assert_ne!(xxh64(b"abc", 1), xxh64(b"abc", 0));
    }

    #[test]
    fn one_changed_bit_of_either_changes_half_of_the_mix() {
        for bit in 0..64 {
            let mut changed = 0;
            for n in 0..100 {
                let (a, b) = (xxh64(&[n], 1), xxh64(&[n], 2));
                changed += (mix(a, b) ^ mix(a ^ 1 << bit, b)).count_ones();
                changed += (mix(a, b) ^ mix(a, b ^ 1 << bit)).count_ones();
            }
            assert!(
                (6000..6800).contains(&changed),
                "{changed} of 12800 for bit {bit}"
            );
        }
    }
}

//! Hash functions that return the same values in every process and on every machine, so that all clients make the same
//! choice.
//!
//! They are fast, and do not protect against keys that are chosen to collide.

/// Returns the XXH64 hash, which Envoy and gRPC use.
///
/// ```
/// use tower_balance::policy::hash::xxh64;
///
/// assert_eq!(xxh64(b"", 0), 0xef46_db37_51d8_e999);
/// ```
///
/// # Implementation notes
///
/// Follows the [specification](https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md). It is implemented here
/// to avoid a dependency; a test compares it with the crate `xxhash-rust`.
pub fn xxh64(bytes: &[u8], seed: u64) -> u64 {
    let (stripes, tail) = bytes.as_chunks::<32>();
    let hash = if stripes.is_empty() {
        seed.wrapping_add(PRIME_5)
    } else {
        converge(stripes, seed)
    };
    avalanche(absorb(hash.wrapping_add(bytes.len() as u64), tail))
}

const PRIME_1: u64 = 0x9e37_79b1_85eb_ca87;
const PRIME_2: u64 = 0xc2b2_ae3d_27d4_eb4f;
const PRIME_3: u64 = 0x1656_67b1_9e37_79f9;
const PRIME_4: u64 = 0x85eb_ca77_c2b2_ae63;
const PRIME_5: u64 = 0x27d4_eb2f_1656_67c5;

/// Hashes whole stripes. Each lane of 8 bytes has its own accumulator.
fn converge(stripes: &[[u8; 32]], seed: u64) -> u64 {
    let mut lanes = [
        seed.wrapping_add(PRIME_1).wrapping_add(PRIME_2),
        seed.wrapping_add(PRIME_2),
        seed,
        seed.wrapping_sub(PRIME_1),
    ];
    for stripe in stripes {
        for (lane, input) in lanes.iter_mut().zip(stripe.as_chunks().0) {
            *lane = round(*lane, u64::from_le_bytes(*input));
        }
    }
    let sum = lanes
        .iter()
        .zip([1, 7, 12, 18])
        .fold(0_u64, |sum, (lane, bits)| {
            sum.wrapping_add(lane.rotate_left(bits))
        });
    lanes.iter().fold(sum, |hash, lane| {
        (hash ^ round(0, *lane))
            .wrapping_mul(PRIME_1)
            .wrapping_add(PRIME_4)
    })
}

/// Hashes the bytes after the last whole stripe.
fn absorb(hash: u64, tail: &[u8]) -> u64 {
    let (words, tail) = tail.as_chunks::<8>();
    let (halves, bytes) = tail.as_chunks::<4>();
    let hash = words.iter().fold(hash, |hash, word| {
        (hash ^ round(0, u64::from_le_bytes(*word)))
            .rotate_left(27)
            .wrapping_mul(PRIME_1)
            .wrapping_add(PRIME_4)
    });
    let hash = halves.iter().fold(hash, |hash, half| {
        (hash ^ u64::from(u32::from_le_bytes(*half)).wrapping_mul(PRIME_1))
            .rotate_left(23)
            .wrapping_mul(PRIME_2)
            .wrapping_add(PRIME_3)
    });
    bytes.iter().fold(hash, |hash, byte| {
        (hash ^ u64::from(*byte).wrapping_mul(PRIME_5))
            .rotate_left(11)
            .wrapping_mul(PRIME_1)
    })
}

const fn round(lane: u64, input: u64) -> u64 {
    lane.wrapping_add(input.wrapping_mul(PRIME_2))
        .rotate_left(31)
        .wrapping_mul(PRIME_1)
}

const fn avalanche(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 33)).wrapping_mul(PRIME_2);
    let hash = (hash ^ (hash >> 29)).wrapping_mul(PRIME_3);
    hash ^ (hash >> 32)
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
    fn xxh64_agrees_with_xxhash_rust() {
        let bytes: Vec<u8> = (0..200_u64).map(|n| mix(n, 1) as u8).collect();
        for length in 0..=bytes.len() {
            for seed in [0, 1, u64::MAX, 0x9e37_79b9_7f4a_7c15] {
                assert_eq!(
                    xxh64(&bytes[..length], seed),
                    xxhash_rust::xxh64::xxh64(&bytes[..length], seed),
                    "{length} bytes, seed {seed}"
                );
            }
        }
    }

    #[test]
    fn one_changed_bit_of_either_input_changes_half_of_the_bits() {
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

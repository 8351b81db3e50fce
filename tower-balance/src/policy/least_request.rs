//! Comparing loads, such as requests in flight, relative to the weights of the endpoints.

use std::cmp::Ordering;

use tower_util::rng::Rng;

/// Returns the weight of an endpoint that has `active` requests: `weight / (active + 1)^bias`.
///
/// Envoy draws by this weight. With a `bias` of 1.0, Envoy's default, the first request in flight halves the weight;
/// with 0.0 the weight is constant. A negative `bias` or NaN counts as 0.0.
///
/// ```
/// use tower_balance::policy::least_request::score;
///
/// assert_eq!(score(2, 1, 1.0), score(1, 0, 1.0));
/// assert_eq!(score(2, 1, 0.0), 2.0);
/// ```
pub fn score(weight: u32, active: usize, bias: f64) -> f64 {
    // `max` returns 0 if the bias is NaN.
    f64::from(weight) / (active as f64 + 1.0).powf(bias.max(0.0))
}

/// Compares two endpoints, each given by load and weight, by load divided by weight.
///
/// Weights that differ by less than 1e-4 are treated as equal. An endpoint of weight 0, or with a load that is NaN,
/// compares greater than any other.
///
/// ```
/// use std::cmp::Ordering;
/// use tower_balance::policy::least_request::compare;
///
/// assert_eq!(compare((3.0, 1.0), (4.0, 2.0)), Ordering::Greater);
/// assert_eq!(compare((3.0, 1.0), (4.0, 1.0)), Ordering::Less);
/// ```
pub fn compare(a: (f64, f64), b: (f64, f64)) -> Ordering {
    let equal = (a.1 - b.1).abs() < SAME_WEIGHT;
    let relative = |(load, weight): (f64, f64)| match load {
        _ if load.is_nan() => f64::INFINITY,
        _ if equal => load,
        _ if weight > 0.0 => load / weight,
        _ => f64::INFINITY,
    };
    relative(a).total_cmp(&relative(b))
}

/// Returns whether an endpoint has a higher load relative to its weight than `other`, by at least one request.
///
/// Loads that are whole numbers are treated as requests in flight, and compared with the load that `other` would have
/// with one more request. They change in steps of one, so smaller differences are not significant: an idle endpoint of
/// weight 1 is not less loaded than one of weight 1,000 with one request. Preferring it would send it a request
/// whenever it is idle, rather than one in a thousand. Other loads are compared as they are.
#[inline]
pub(crate) fn is_over(endpoint: (f64, f64), other: (f64, f64)) -> bool {
    let load = relative(endpoint.0, endpoint.1);
    if is_whole(endpoint.0) && is_whole(other.0) {
        let with_next = relative(other.0 + 1.0, other.1);
        with_next <= load && with_next < f64::INFINITY
    } else {
        relative(other.0, other.1) < load
    }
}

/// Returns the load divided by the weight; infinite if the weight is 0 or the load is NaN.
#[inline]
pub(crate) fn relative(load: f64, weight: f64) -> f64 {
    if weight > 0.0 && !load.is_nan() {
        load / weight
    } else {
        f64::INFINITY
    }
}

/// Returns whether the load is a whole number. `fract` would be a call to libm on targets without an instruction for
/// it.
#[inline]
pub(crate) fn is_whole(load: f64) -> bool {
    load as i64 as f64 == load
}

/// Returns the least loaded of all endpoints; a tie is broken at random. Returns `None` if there are none.
///
/// It compares all endpoints. If there are several clients, they all choose the same endpoint: in that case, draw two
/// endpoints and [`compare`] them instead.
///
/// ```
/// use tower_balance::policy::least_request::least;
/// use tower_util::rng::SplitMix;
///
/// let endpoints = [(2.0, 1.0), (3.0, 2.0), (9.0, 3.0)];
/// assert_eq!(least(endpoints, &mut SplitMix::with_seed(1)), Some(1));
/// ```
pub fn least<R: Rng + ?Sized>(
    endpoints: impl IntoIterator<Item = (f64, f64)>,
    rng: &mut R,
) -> Option<usize> {
    let mut best: Option<(usize, (f64, f64))> = None;
    // The number of endpoints that are as good as the best.
    let mut ties = 1;
    for (i, endpoint) in endpoints.into_iter().enumerate() {
        let ordering = best.map_or(Ordering::Less, |(_, best)| compare(endpoint, best));
        match ordering {
            Ordering::Less => ties = 1,
            Ordering::Equal => ties += 1,
            Ordering::Greater => continue,
        }
        // Reservoir sampling: the last of n ties is kept with probability 1/n.
        if ties == 1 || rng.next_range(0..ties) == 0 {
            best = Some((i, endpoint));
        }
    }
    best.map(|(i, _)| i)
}

/// Weights that differ by less are compared as equal, as in Finagle.
const SAME_WEIGHT: f64 = 1e-4;

#[cfg(test)]
mod tests {
    use tower_util::rng::SplitMix;

    use super::super::Alias;
    use super::*;

    /// Envoy's example: weights 2 and 1, idle, and with one request at the heavier.
    #[test]
    fn requests_in_flight_reduce_the_score() {
        for (active, expected) in [(0, 2.0 / 3.0), (1, 0.5), (3, 1.0 / 3.0)] {
            let scores = [score(2, active, 1.0), score(1, 0, 1.0)];
            assert!((scores[0] / (scores[0] + scores[1]) - expected).abs() < 1e-12);
            let alias = Alias::new(scores).unwrap();
            let mut rng = SplitMix::with_seed(9);
            let heavy = (0..100_000)
                .filter(|_| alias.draw(&mut rng) == Some(0))
                .count();
            assert!((heavy as f64 / 1e5 - expected).abs() < 0.01);
        }
        assert_eq!(score(7, usize::MAX, f64::NAN), 7.0);
        assert_eq!(score(7, 3, -1.0), 7.0);
    }

    #[test]
    fn weight_zero_and_nan_compare_greater() {
        assert_eq!(compare((0.0, 0.0), (1e9, 1.0)), Ordering::Greater);
        assert_eq!(compare((f64::NAN, 1.0), (1e9, 1.0)), Ordering::Greater);
        assert_eq!(compare((1.0, 0.0), (2.0, 0.0)), Ordering::Less);
        assert_eq!(compare((1.0, 1.0), (1.1, 1.00001)), Ordering::Less);
    }

    #[test]
    fn a_difference_of_less_than_one_request_does_not_count() {
        for (endpoint, other, expected) in [
            ((1.0, 1.0), (0.0, 1.0), true),
            ((1.0, 1.0), (1.0, 1.0), false),
            ((0.0, 1.0), (0.0, 1000.0), false),
            ((1.0, 1000.0), (0.0, 1.0), false),
            ((999.0, 1000.0), (0.0, 1.0), false),
            ((1000.0, 1000.0), (0.0, 1.0), true),
            ((1.0, 1.0), (998.0, 1000.0), true),
            ((1.0, 1.0), (1000.0, 1000.0), false),
            // Fractions are not counts.
            ((0.75, 2.0), (0.25, 1.0), true),
            ((0.25, 1.0), (0.75, 2.0), false),
            // Weight 0, or NaN.
            ((0.0, 0.0), (9.0, 1.0), true),
            ((0.0, 0.0), (9.0, 0.0), false),
            ((f64::NAN, 1.0), (9.0, 1.0), true),
            ((f64::NAN, 1.0), (f64::INFINITY, 1.0), false),
        ] {
            assert_eq!(is_over(endpoint, other), expected, "{endpoint:?} {other:?}");
            assert!(!(expected && is_over(other, endpoint)));
        }
    }

    #[test]
    fn ties_are_broken_evenly() {
        let mut rng = SplitMix::with_seed(5);
        let mut counts = [0; 4];
        for _ in 0..30_000 {
            counts[least([(1.0, 1.0), (2.0, 1.0), (1.0, 1.0), (2.0, 2.0)], &mut rng).unwrap()] += 1;
        }
        assert_eq!(counts[1], 0);
        for count in [counts[0], counts[2], counts[3]] {
            assert!((9_700..10_300).contains(&count), "{counts:?}");
        }
        assert_eq!(least([], &mut rng), None);
    }
}

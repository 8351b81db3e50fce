use super::ring::{MAX_POINTS, Points, Walk};

/// The ketama ring of nginx (`hash … consistent`) and Pingora, for clients that must agree with them.
///
/// An endpoint has 160 points for each unit of its weight, so a change of the endpoints moves only the keys that have
/// to move. If all clients use this crate, prefer [`StableRing`](super::StableRing), which has this property too, is
/// updated rather than rebuilt, and has 64-bit hashes, with which points practically never coincide.
///
/// - Keys of endpoints are those of nginx: `host:port`, with an IPv6 host in brackets, or `unix:path`. Without a port,
///   the whole key is the host.
/// - An endpoint of weight 0 has no points. If the weights require more than 8,388,608 points, all endpoints get
///   proportionally fewer, but at least one if their weight is not 0; nginx and Pingora have no such limit.
/// - Of points with the same hash, that of the first endpoint is used. Nginx orders endpoints as in its configuration,
///   Pingora by address.
///
/// # Example
///
/// ```
/// use tower_balance::policy::Ketama;
///
/// let ring = Ketama::new(&[("127.0.0.1:7777", 1), ("127.0.0.1:7778", 1)]);
/// assert_eq!(ring.walk(Ketama::hash(b"/some/path")).next(), Some(1));
/// ```
///
/// # Cost
///
/// Building sorts the points; finding the first endpoint is a binary search and allocates nothing.
#[derive(Debug, Clone)]
pub struct Ketama {
    points: Points,
}

impl Ketama {
    /// Builds the ring of these endpoints, each given by key and weight.
    pub fn new<K: AsRef<str>>(endpoints: &[(K, u32)]) -> Self {
        Self::build(endpoints, MAX_POINTS)
    }

    fn build<K: AsRef<str>>(endpoints: &[(K, u32)], max: usize) -> Self {
        let weights = endpoints.iter().map(|(_, weight)| u64::from(*weight));
        let all = weights.sum::<u64>().saturating_mul(POINTS);
        let too_many = all.div_ceil(max as u64).max(1);

        let mut points = Points::default();
        for (endpoint, (key, weight)) in endpoints.iter().enumerate() {
            if *weight > 0 {
                let count = (u64::from(*weight) * POINTS / too_many).max(1);
                points.add(endpoint, hashes(key.as_ref()).take(count as usize));
            }
        }
        points.sort();
        Self { points }
    }

    /// Hashes the key of a request: its CRC-32.
    pub fn hash(key: &[u8]) -> u64 {
        crc32fast::hash(key).into()
    }

    /// Iterates over the endpoints, each once, in the order in which they follow the [`hash`](Self::hash).
    pub fn walk(&self, hash: u64) -> Walk<'_> {
        self.points.walk(hash)
    }

    /// Returns the number of points.
    pub fn len(&self) -> usize {
        self.points.sorted.len()
    }

    /// Returns whether there are no points, so that walks are empty.
    pub fn is_empty(&self) -> bool {
        self.points.sorted.is_empty()
    }
}

/// Returns the points of an endpoint, each computed from the previous one.
fn hashes(key: &str) -> impl Iterator<Item = u64> {
    let (host, port) = match key.rsplit_once(':') {
        _ if key.starts_with("unix:") => (&key[5..], ""),
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (key, ""),
    };
    let mut base = crc32fast::Hasher::new();
    base.update(host.as_bytes());
    base.update(b"\0");
    base.update(port.as_bytes());
    let mut previous = 0_u32;
    std::iter::repeat_with(move || {
        let mut hasher = base.clone();
        hasher.update(&previous.to_le_bytes());
        previous = hasher.finalize();
        previous.into()
    })
}

/// Per unit of weight.
const POINTS: u64 = 160;

#[cfg(test)]
mod tests {
    use super::*;

    fn local(ports: impl IntoIterator<Item = u16>) -> Vec<(String, u32)> {
        let weighed = |port| (format!("127.0.0.1:{port}"), 1);
        ports.into_iter().map(weighed).collect()
    }

    fn first(ring: &Ketama, key: &str) -> Option<usize> {
        ring.walk(Ketama::hash(key.as_bytes())).next()
    }

    /// The test cases of `pingora-ketama`, which were checked against nginx.
    #[test]
    fn keys_map_to_the_same_endpoints_as_in_nginx() {
        let hosts = |last| -> Vec<_> {
            let weighed = |host| (format!("127.0.0.{host}:6443"), 1);
            (1..=last).map(weighed).collect()
        };
        for last in [10, 11] {
            let ring = Ketama::new(&hosts(last));
            assert_eq!(first(&ring, "a"), Some(9), "127.0.0.10");
            assert_eq!(first(&ring, "b"), Some(4), "127.0.0.5");
        }
        let ring = Ketama::new(&local([7777, 7778]));
        for (key, port) in [
            ("/some/path", 7778),
            ("/some/longer/path", 7777),
            ("/sad/zaidoon", 7778),
            ("/g", 7777),
        ] {
            assert_eq!(first(&ring, key), Some(port - 7777), "{key}");
        }
        let ring = Ketama::new(&local([7777, 7778, 7779]));
        let from = Ketama::hash(b"doghash");
        let follow = ring.points.sorted.iter().filter(|(hash, _)| *hash >= from);
        let follow: Vec<_> = follow
            .map(|(_, endpoint)| endpoint + 7777)
            .take(8)
            .collect();
        assert_eq!(follow, [7778, 7779, 7779, 7777, 7777, 7778, 7778, 7779]);
    }

    #[test]
    fn only_the_keys_of_a_removed_endpoint_move() {
        let (ten, nine) = (local(1..11), local(1..10));
        let (before, after) = (Ketama::new(&ten), Ketama::new(&nine));
        let mut moved = 0;
        for key in (0..20_000).map(|n: u32| n.to_string()) {
            let home = first(&before, &key).unwrap();
            match home {
                9 => moved += 1,
                _ => assert_eq!(first(&after, &key), Some(home), "{key}"),
            }
        }
        assert!(moved < 2 * 20_000 / 10, "{moved}");
    }

    #[test]
    fn zero_and_very_large_weights_are_valid() {
        assert_eq!(first(&Ketama::new::<&str>(&[]), "a"), None);
        let ring = Ketama::new(&[("a", 0), ("b", 1)]);
        assert_eq!((ring.len(), first(&ring, "a")), (160, Some(1)));
        let ring = Ketama::build(&[("a", u32::MAX), ("b", 1), ("c", u32::MAX)], 10_000);
        assert!(ring.len() <= 10_000, "{}", ring.len());
        let of = |wanted| {
            ring.points
                .sorted
                .iter()
                .filter(move |(_, endpoint)| *endpoint == wanted)
        };
        assert_eq!(of(1).count(), 1);
        assert_eq!(of(0).count(), of(2).count());
    }
}

use std::sync::{Arc, Mutex, MutexGuard};

use tower_readiness::ignore_poison;

/// The endpoints that a request was sent to, so that a balancer can send the next attempt to another one.
///
/// A layer that may send a request more than once puts it into the request, where the balancer finds it: into the
/// extensions of an HTTP request. Clones share one set, so that a copy of the request includes the endpoints of the
/// original.
///
/// The set keeps the newest 16 endpoints.
///
/// # Example
///
/// ```
/// use tower_util::Tried;
///
/// let tried = Tried::new();
/// let of_the_copy = tried.clone();
/// tried.insert(7);
/// assert!(of_the_copy.contains(7));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Tried(Arc<Mutex<Newest>>);

/// In place, so that a request that is sent once costs one allocation.
#[derive(Debug, Default)]
struct Newest {
    endpoints: [u64; MOST],
    number: usize,
}

impl Newest {
    fn all(&self) -> &[u64] {
        &self.endpoints[..self.number]
    }

    fn push(&mut self, endpoint: u64) {
        if self.number == MOST {
            self.endpoints.rotate_left(1);
            self.number -= 1;
        }
        self.endpoints[self.number] = endpoint;
        self.number += 1;
    }
}

impl Tried {
    /// Creates an empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records that the request is sent to `endpoint`, the number by which the balancer knows it.
    pub fn insert(&self, endpoint: u64) {
        let mut newest = self.lock();
        if !newest.all().contains(&endpoint) {
            newest.push(endpoint);
        }
    }

    /// Whether the request was sent to `endpoint`.
    pub fn contains(&self, endpoint: u64) -> bool {
        self.lock().all().contains(&endpoint)
    }

    /// Returns the number of endpoints.
    pub fn len(&self) -> usize {
        self.lock().number
    }

    /// Whether the request was not sent yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Newest> {
        ignore_poison(self.0.lock())
    }
}

const MOST: usize = 16;

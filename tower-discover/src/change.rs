/// A change to the set of endpoints: one was added, replaced or removed.
#[derive(Debug, Clone)]
pub enum Change<K, V> {
    /// The endpoint `K` was added, with the service `V`; if `K` exists already, `V` replaces its service.
    Insert(K, V),
    /// The endpoint `K` was removed.
    Remove(K),
}

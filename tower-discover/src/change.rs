/// What has become of one endpoint.
#[derive(Debug, Clone)]
pub enum Change<K, V> {
    /// The endpoint `K` is there, and `V` is its service. If it was there before, `V` takes the old service's place.
    Insert(K, V),
    /// The endpoint `K` is gone.
    Remove(K),
}

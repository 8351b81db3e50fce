/// Reports the load of a service, which balancers compare.
pub trait Load {
    /// The type of the load; lower is better.
    type Metric: PartialOrd;

    /// Returns the current load.
    fn load(&self) -> Self::Metric;

    /// Returns the weight of a service: its capacity, relative to a service of weight 1. A service of weight 2 receives
    /// twice as many requests from a balancer that uses weights. By default 1; [`Weighted`](crate::Weighted) sets it.
    ///
    /// It is an associated function because tower 0.5.3 does not have it: a method could make calls to a method of your
    /// own trait ambiguous.
    fn relative_weight(load: &Self) -> u32
    where
        Self: Sized,
    {
        let _ = load;
        1
    }
}

/// Something that can say how loaded it is.
pub trait Load {
    /// The measure; less is better.
    type Metric: PartialOrd;

    /// The load at this moment.
    fn load(&self) -> Self::Metric;

    /// How strong it is, beside one of weight 1: twice as strong, it gets twice as many requests of a balancer that goes by
    /// weight. By default 1; [`Weighted`](crate::Weighted) sets it.
    ///
    /// Not a method, since tower 0.5.3 does not have it: as a method it would make `endpoint.weight()` ambiguous where
    /// `weight` is a method of your own trait.
    fn relative_weight(load: &Self) -> u32
    where
        Self: Sized,
    {
        let _ = load;
        1
    }
}

/// Something that can say how loaded it is.
pub trait Load {
    /// The measure; less is better.
    type Metric: PartialOrd;

    /// The load at this moment.
    fn load(&self) -> Self::Metric;

    /// How strong it is, beside one of weight 1: twice as strong, it gets twice as many requests of a balancer that goes by
    /// weight. By default 1; [`Weighted`](crate::Weighted) sets it.
    fn weight(&self) -> u32 {
        1
    }
}

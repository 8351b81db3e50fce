/// Something that can say how loaded it is.
pub trait Load {
    /// The measure; less is better.
    type Metric: PartialOrd;

    /// The load at this moment.
    fn load(&self) -> Self::Metric;
}

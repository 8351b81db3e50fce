use std::ops::RangeInclusive;

use tower_util::InvalidPolicy;

/// The floor and the ceiling of a limit, and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    pub(super) limits: RangeInclusive<usize>,
    pub(super) initial: usize,
}

impl Bounds {
    pub(super) const fn new(floor: usize, initial: usize, ceiling: usize) -> Self {
        Self {
            limits: floor..=ceiling,
            initial,
        }
    }

    pub(super) fn validate(&self) -> Result<(), InvalidPolicy> {
        let (floor, ceiling) = (*self.limits.start(), *self.limits.end());
        InvalidPolicy::ensure(floor > 0, "the floor of a limit is at least one request")?;
        InvalidPolicy::ensure(
            floor <= ceiling,
            "the floor of a limit is not above its ceiling",
        )?;
        InvalidPolicy::ensure(
            ceiling <= crate::adaptive::MAX_LIMIT,
            "the ceiling of a limit is at most 2^30",
        )?;
        InvalidPolicy::ensure(
            self.limits.contains(&self.initial),
            "the initial limit is not below the floor and not above the ceiling",
        )
    }

    pub(super) const fn floor(&self) -> usize {
        *self.limits.start()
    }

    pub(super) fn clamp(&self, limit: usize) -> usize {
        limit.clamp(*self.limits.start(), *self.limits.end())
    }

    pub(super) fn clamp_f64(&self, limit: f64) -> f64 {
        limit.clamp(*self.limits.start() as f64, *self.limits.end() as f64)
    }
}

/// Adds the setters of the bounds to a policy's configuration.
macro_rules! bounded {
    ($config:ident, $floor:literal, $initial:literal, $ceiling:literal) => {
        impl $config {
            const BOUNDS: crate::adaptive::policy::bounds::Bounds =
                crate::adaptive::policy::bounds::Bounds::new($floor, $initial, $ceiling);

            #[doc = concat!(
                "Sets the floor and the ceiling of the limit. By default ", $floor, " and ", $ceiling, "."
            )]
            ///
            /// The initial limit must be within them, too.
            #[must_use]
            pub const fn limits(mut self, limits: std::ops::RangeInclusive<usize>) -> Self {
                self.bounds.limits = limits;
                self
            }

            #[doc = concat!("Sets the limit to begin with. By default ", $initial, ".")]
            ///
            /// A limit that was measured before gives a warm start.
            #[must_use]
            pub const fn initial(mut self, limit: usize) -> Self {
                self.bounds.initial = limit;
                self
            }
        }
    };
}
pub(super) use bounded;

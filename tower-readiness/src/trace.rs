//! The events and spans of the layers: `tracing`'s with the feature `tracing`, and nothing without it.
//!
//! One place decides, so that the layers need no `cfg`, and so that any crate that enables the feature enables it for all.

#[cfg(feature = "tracing")]
#[doc(hidden)]
pub use tracing;
#[cfg(feature = "tracing")]
pub use tracing::Span;

/// Emits an event like `tracing::event!`, if the feature `tracing` is enabled: a level, fields, and a message.
///
/// Without the feature the fields are type-checked and never evaluated.
///
/// ```
/// # let error = std::io::Error::other("refused");
/// tower_readiness::event!(DEBUG, attempt = 2, %error, "connection attempt failed");
/// ```
#[cfg(feature = "tracing")]
#[macro_export]
macro_rules! event {
    ($level:ident, $($fields:tt)+) => {
        $crate::trace::tracing::event!($crate::trace::tracing::Level::$level, $($fields)+)
    };
}

/// Emits an event like `tracing::event!`, if the feature `tracing` is enabled: a level, fields, and a message.
///
/// Without the feature the fields are type-checked and never evaluated.
///
/// ```
/// # let error = std::io::Error::other("refused");
/// tower_readiness::event!(DEBUG, attempt = 2, %error, "connection attempt failed");
/// ```
#[cfg(not(feature = "tracing"))]
#[macro_export]
macro_rules! event {
    ($level:ident, $($fields:tt)+) => {
        if false {
            $crate::__use_fields!($($fields)+);
        }
    };
}

/// Uses each value, so that a variable that only an event shows is not reported as unused.
#[cfg(not(feature = "tracing"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __use_fields {
    ($message:literal) => {};
    (? $value:ident, $($rest:tt)+) => { $crate::__use_fields!(value = $value, $($rest)+) };
    (% $value:ident, $($rest:tt)+) => { $crate::__use_fields!(value = $value, $($rest)+) };
    ($name:ident = ? $value:expr, $($rest:tt)+) => { $crate::__use_fields!($name = $value, $($rest)+) };
    ($name:ident = % $value:expr, $($rest:tt)+) => { $crate::__use_fields!($name = $value, $($rest)+) };
    ($name:ident = $value:expr, $($rest:tt)+) => {
        let _ = &$value;
        $crate::__use_fields!($($rest)+);
    };
    ($value:ident, $($rest:tt)+) => { $crate::__use_fields!(value = $value, $($rest)+) };
}

/// The span of a request, in which a layer that calls the service elsewhere calls it: `tracing::Span`, or nothing without
/// the feature `tracing`.
#[cfg(not(feature = "tracing"))]
#[derive(Clone, Debug)]
pub struct Span(());

#[cfg(not(feature = "tracing"))]
impl Span {
    /// Returns the span that is entered on this thread.
    #[inline]
    pub const fn current() -> Self {
        Self(())
    }

    /// Runs `f` inside the span.
    #[inline]
    pub fn in_scope<T>(&self, f: impl FnOnce() -> T) -> T {
        f()
    }
}

/// Polls `future` inside the span that is entered now, whichever task polls it.
#[cfg(feature = "tracing")]
pub fn in_current_span<F: Future>(future: F) -> impl Future<Output = F::Output> {
    tracing::Instrument::in_current_span(future)
}

/// Polls `future` inside the span that is entered now, whichever task polls it.
#[cfg(not(feature = "tracing"))]
pub const fn in_current_span<F: Future>(future: F) -> F {
    future
}

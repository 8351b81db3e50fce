//! Determines whether a type implements a trait: the compiler prefers an inherent constant whose bounds hold to a constant of a
//! trait.

/// A line of output: the type's path, the parameter that lacks a trait, and the traits that the type implements.
pub struct Row {
    pub path: &'static str,
    pub lacking: &'static str,
    pub implements: &'static [(&'static str, bool)],
}

impl Row {
    pub fn print(&self) {
        println!("probe {} is probed", self.path);
        for (name, _) in self.implements.iter().filter(|(_, implements)| *implements) {
            println!("probe {}{} is {name}", self.path, self.lacking);
        }
    }
}

/// The fallback constant, for every type.
pub trait Not {
    const IS: bool = false;
}

impl<T: ?Sized> Not for T {}

macro_rules! detectors {
    ($($name:ident: $bound:path;)+) => {
        $(
            pub struct $name<T: ?Sized>(std::marker::PhantomData<T>);

            impl<T: ?Sized + $bound> $name<T> {
                #[allow(dead_code, reason = "types need not implement it")]
                pub const IS: bool = true;
            }
        )+

        /// Each trait's name, and whether `$type` implements it.
        macro_rules! implements {
            ($type:ty) => {{
                #[allow(unused_imports, reason = "if it implements all of them")]
                use $crate::probe::Not as _;
                &[$((stringify!($name), $crate::probe::$name::<$type>::IS)),+]
            }};
        }
    };
}

detectors! {
    Send: std::marker::Send;
    Sync: std::marker::Sync;
    Unpin: std::marker::Unpin;
    UnwindSafe: std::panic::UnwindSafe;
    RefUnwindSafe: std::panic::RefUnwindSafe;
    Clone: std::clone::Clone;
    Debug: std::fmt::Debug;
    Copy: std::marker::Copy;
    Default: std::default::Default;
    Eq: std::cmp::Eq;
    Ord: std::cmp::Ord;
    Hash: std::hash::Hash;
    Error: std::error::Error;
    Future: std::future::Future;
    Stream: futures_core::Stream;
    Display: std::fmt::Display;
    Service: tower::Service<crate::parameters::Good>;
    Layer: tower::Layer<crate::parameters::Good>;
    Load: tower::load::Load;
    Discover: tower::discover::Discover;
    MakeService: tower::make::MakeService<crate::parameters::Good, crate::parameters::Good>;
    MakeBackoff: tower::retry::backoff::MakeBackoff;
    Backoff: tower::retry::backoff::Backoff;
    Budget: tower::retry::budget::Budget;
    Rng: tower::util::rng::Rng;
    TrackCompletion: tower::load::TrackCompletion<crate::parameters::Good, crate::parameters::Good>;
}

/// Adds the rows for `$type` with the parameters `$p`: one with `Good` for all parameters, and for each parameter those with types
/// that lack a trait.
macro_rules! probe {
    ($rows:ident, $path:literal, <$($p:ident),*>, $type:ty) => {{
        #[allow(dead_code, reason = "there may be none")]
        type Probed<$($p),*> = $type;
        probe!(@row $rows, $path, "", Probed<$(probe!(@good $p)),*>);
        probe!(@each $rows, $path, [], [$($p)*]);
    }};
    (@each $rows:ident, $path:literal, [$($before:ident)*], []) => {};
    (@each $rows:ident, $path:literal, [$($before:ident)*], [$p:ident $($after:ident)*]) => {
        probe!(@lacks $rows, $path, [$($before)*], $p, [$($after)*],
            [NotSend NotSync NotUnpin NotUnwindSafe NotRefUnwindSafe NotClone NotDebug]);
        probe!(@each $rows, $path, [$($before)* $p], [$($after)*]);
    };
    (@lacks $rows:ident, $path:literal, $before:tt, $p:ident, $after:tt, [$($lack:ident)*]) => {
        $(probe!(@one $rows, $path, $before, $p, $after, $lack);)*
    };
    (@one $rows:ident, $path:literal, [$($before:ident)*], $p:ident, [$($after:ident)*], $lack:ident) => {
        probe!(@row $rows, $path, concat!(" with ", stringify!($p), " ", stringify!($lack)),
            Probed<$(probe!(@good $before),)* $crate::parameters::$lack, $(probe!(@good $after)),*>);
    };
    (@good $p:ident) => { $crate::parameters::Good };
    (@row $rows:ident, $path:literal, $lacking:expr, $type:ty) => {
        $rows.push($crate::probe::Row { path: $path, lacking: $lacking, implements: implements!($type) });
    };
}

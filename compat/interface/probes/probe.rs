//! Whether a type implements a trait, found out by the compiler: an inherent constant, where its bounds hold, comes before
//! one of a trait.

/// What is printed of a type: its path, which parameter lacks what, and the traits that it implements.
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

/// The constant of last resort, for every type.
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

/// Rows for `$type`, in which each of the parameters `$p` is an argument: one with `Good` for all, and for each of them those
/// with what lacks a trait.
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

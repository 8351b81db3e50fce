use super::{
    Hints, LeastLoaded, Levels, Locality, MaglevHash, Named, P2c, PickContext, Picker,
    PrequalPicker, Random, RingHash, RoundRobin, WeightedRoundRobin,
};

/// One of the pickers of this module, selected at run time, for example by a configuration.
///
/// `H` returns the key of a request, for [`RingHash`] and [`MaglevHash`]. It can be a function pointer or a boxed
/// closure. `F` returns the locality of an endpoint, for [`Levels`].
///
/// # Cost
///
/// A `match` per pick. The value is as large as the largest picker.
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::convert::Infallible;
/// use tower_balance::p2c::Balance;
/// use tower_balance::picker::{AnyPicker, LeastLoaded, P2c, RingHash};
/// use tower_discover::ServiceList;
/// use tower_load::{CompleteOnResponse, PendingRequests};
/// use tower_util::{ServiceExt, service_fn};
///
/// type Picker = AnyPicker<fn(&u64) -> Option<u64>>;
///
/// fn picker(name: &str) -> Picker {
///     match name {
///         "least loaded" => LeastLoaded::new().into(),
///         "ring hash" => RingHash::by((|user| Some(*user)) as fn(&u64) -> Option<u64>).into(),
///         _ => P2c::new().into(),
///     }
/// }
///
/// for name in ["p2c", "least loaded", "ring hash"] {
///     let endpoints = ["a", "b"].map(|name| {
///         let endpoint = service_fn(move |_user: u64| async move { Ok::<_, Infallible>(name) });
///         PendingRequests::new(endpoint, CompleteOnResponse::default())
///     });
///     let balance = Balance::with_picker(ServiceList::new::<u64>(endpoints), picker(name));
///     assert!(["a", "b"].contains(&balance.oneshot(7).await.unwrap()));
/// }
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum AnyPicker<H, F = fn(&str) -> Locality> {
    /// See [`P2c`].
    P2c(P2c),
    /// See [`LeastLoaded`].
    LeastLoaded(LeastLoaded),
    /// See [`RoundRobin`].
    RoundRobin(RoundRobin),
    /// See [`WeightedRoundRobin`].
    WeightedRoundRobin(WeightedRoundRobin),
    /// See [`Random`].
    Random(Random),
    /// See [`RingHash`].
    RingHash(RingHash<H>),
    /// See [`MaglevHash`].
    MaglevHash(MaglevHash<H>),
    /// See [`PrequalPicker`].
    Prequal(PrequalPicker),
    /// See [`Levels`], with the least loaded endpoint within a level.
    Levels(Levels<LeastLoaded, F>),
}

/// Evaluates an expression with the inner picker.
macro_rules! with_picker {
    ($any:expr, $picker:ident => $result:expr) => {
        match $any {
            AnyPicker::P2c($picker) => $result,
            AnyPicker::LeastLoaded($picker) => $result,
            AnyPicker::RoundRobin($picker) => $result,
            AnyPicker::WeightedRoundRobin($picker) => $result,
            AnyPicker::Random($picker) => $result,
            AnyPicker::RingHash($picker) => $result,
            AnyPicker::MaglevHash($picker) => $result,
            AnyPicker::Prequal($picker) => $result,
            AnyPicker::Levels($picker) => $result,
        }
    };
}

impl<H, F, E, Req> Picker<E, Req> for AnyPicker<H, F>
where
    H: Fn(&Req) -> Option<u64>,
    F: Fn(&str) -> Locality,
    E: Named<Load: Into<f64>>,
{
    fn pick<C: PickContext>(
        &mut self,
        endpoints: &E,
        request: Option<&Req>,
        cx: &mut C,
    ) -> Option<usize> {
        with_picker!(self, picker => picker.pick(endpoints, request, cx))
    }

    fn sent(&mut self, endpoints: &E, index: usize, request: &Req) {
        with_picker!(self, picker => picker.sent(endpoints, index, request));
    }

    fn inserted(&mut self, endpoints: &E, id: usize) {
        with_picker!(self, picker => Picker::<E, Req>::inserted(picker, endpoints, id));
    }

    fn removed(&mut self, id: usize) {
        with_picker!(self, picker => Picker::<E, Req>::removed(picker, id));
    }

    fn hints(&self) -> Hints {
        with_picker!(self, picker => Picker::<E, Req>::hints(picker))
    }
}

macro_rules! from {
    ($($picker:ty => $variant:ident,)*) => {
        $(impl<H, F> From<$picker> for AnyPicker<H, F> {
            fn from(picker: $picker) -> Self {
                Self::$variant(picker)
            }
        })*
    };
}

from! {
    P2c => P2c,
    LeastLoaded => LeastLoaded,
    RoundRobin => RoundRobin,
    WeightedRoundRobin => WeightedRoundRobin,
    Random => Random,
    RingHash<H> => RingHash,
    MaglevHash<H> => MaglevHash,
    PrequalPicker => Prequal,
    Levels<LeastLoaded, F> => Levels,
}

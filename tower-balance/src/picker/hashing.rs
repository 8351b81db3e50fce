use std::collections::BTreeSet;
use std::fmt;

use super::{Endpoints, Named, PickContext, Picker};
#[cfg(feature = "ketama")]
use crate::policy::Ketama;
use crate::policy::{BoundedLoad, InvalidPolicy, Maglev, Ring, StableRing, Walk};

/// The endpoint that follows the request's key on a ring: the same for the same key, as long as it is there.
///
/// The key is what a closure makes of the request, such as [`xxh64`](crate::policy::hash::xxh64) of a header; `None` means
/// that any endpoint will do. `tower_balance::http` has closures for headers, cookies and paths. An endpoint that is not ready
/// is passed over, never waited for. The weight of an endpoint is the one that it had when it came.
///
/// By default the ring is a [`StableRing`], on which no key moves needlessly when endpoints change;
/// [`compatible`](Self::compatible) takes that of Envoy and gRPC, `ketama`, behind the feature of this name, that of nginx.
#[derive(Clone)]
pub struct RingHash<H> {
    key: H,
    ring: AnyRing,
    bound: Option<Bound>,
}

#[derive(Clone)]
enum AnyRing {
    Stable(StableRing),
    Compatible(MadeAnew<RingOf>),
}

#[derive(Clone)]
enum RingOf {
    Envoy {
        ring: Ring,
        min: usize,
        max: usize,
    },
    #[cfg(feature = "ketama")]
    Nginx(Ketama),
}

impl RingOf {
    fn renew(&mut self, endpoints: &[(String, u32)]) {
        match self {
            Self::Envoy { ring, min, max } => {
                // The sizes were checked when they were set.
                if let Ok(new) = Ring::with_size(endpoints, *min, *max) {
                    *ring = new;
                }
            }
            #[cfg(feature = "ketama")]
            Self::Nginx(ring) => *ring = Ketama::new(endpoints),
        }
    }

    fn walk(&self, hash: u64) -> Walk<'_> {
        match self {
            Self::Envoy { ring, .. } => ring.walk(hash),
            #[cfg(feature = "ketama")]
            Self::Nginx(ring) => ring.walk(hash),
        }
    }
}

impl<H> RingHash<H> {
    /// The key of a request is what `key` returns.
    pub fn by<Req>(key: H) -> Self
    where
        H: Fn(&Req) -> Option<u64>,
    {
        Self {
            key,
            ring: AnyRing::Stable(StableRing::default()),
            bound: None,
        }
    }

    /// So many points for each unit of weight. By default 160; take fewer for weights over some tens, as the ring has 8,388,608
    /// points at most, and endpoints that find no room get requests only when nobody else is ready.
    ///
    /// # Errors
    ///
    /// Unless it is from 1 to 8,388,608.
    pub fn points_per_weight(mut self, points: usize) -> Result<Self, InvalidPolicy> {
        self.ring = AnyRing::Stable(StableRing::new(points)?);
        Ok(self)
    }

    /// Maps keys as Envoy's and gRPC's ring with `min` to `max` points does; their defaults are 1024 and 4096. It is made anew
    /// with each change.
    ///
    /// # Errors
    ///
    /// Unless `1 <= min <= max <= 8,388,608`.
    pub fn compatible(mut self, min: usize, max: usize) -> Result<Self, InvalidPolicy> {
        let ring = Ring::with_size::<&str>(&[], min, max)?;
        self.ring = AnyRing::Compatible(MadeAnew::new(RingOf::Envoy { ring, min, max }));
        Ok(self)
    }

    /// Maps keys as nginx and Pingora do: see [`Ketama`]. The hash of a key must be [`Ketama::hash`] of it. It is made anew with
    /// each change.
    #[cfg(feature = "ketama")]
    pub fn ketama(mut self) -> Self {
        let ring = RingOf::Nginx(Ketama::new::<&str>(&[]));
        self.ring = AnyRing::Compatible(MadeAnew::new(ring));
        self
    }

    /// No endpoint has more than `percent` of the requests in flight that were its share; what is more goes to the next one on
    /// the ring. From 100 on; 120 to 200 are usual. The load must be a number of requests in flight.
    ///
    /// # Errors
    ///
    /// If it is less than 100.
    pub fn bounded(mut self, percent: u32) -> Result<Self, InvalidPolicy> {
        self.bound = Some(Bound::new(percent)?);
        Ok(self)
    }
}

impl<H, E, Req> Picker<E, Req> for RingHash<H>
where
    H: Fn(&Req) -> Option<u64>,
    E: Named<Load: Into<f64>>,
{
    const BY_REQUEST: bool = true;
    const TRACKS: bool = true;

    fn pick<C: PickContext>(
        &mut self,
        endpoints: &E,
        request: Option<&Req>,
        cx: &mut C,
    ) -> Option<usize> {
        let hash = request.and_then(&self.key).unwrap_or_else(|| cx.next_u64());
        let bound = &mut self.bound;
        match &mut self.ring {
            AnyRing::Stable(ring) => first(endpoints, bound, || ring.walk(hash), cx),
            AnyRing::Compatible(made) => {
                let (ring, ids) = made.renewed(endpoints, RingOf::renew);
                let id = |member: usize| ids[member];
                first(endpoints, bound, || ring.walk(hash).map(id), cx)
            }
        }
    }

    fn inserted(&mut self, endpoints: &E, id: usize) {
        self.bound.iter_mut().for_each(Bound::forget);
        match &mut self.ring {
            AnyRing::Compatible(made) => made.insert(id),
            AnyRing::Stable(ring) => {
                let Some((name, weight)) = endpoints.name(id) else {
                    return;
                };
                if let Err(error) = ring.insert(id, &name, weight) {
                    tracing::warn!(%error, endpoint = name, "an endpoint is left out of the ring");
                }
            }
        }
    }

    fn removed(&mut self, id: usize) {
        self.bound.iter_mut().for_each(Bound::forget);
        match &mut self.ring {
            AnyRing::Compatible(made) => made.remove(id),
            AnyRing::Stable(ring) => drop(ring.remove(id)),
        }
    }
}

/// The endpoint of the request's key in a table, found in one step: see [`Maglev`].
///
/// As [`RingHash`] in all else. With each change the table is made anew, and a few keys more than those of the endpoint move.
#[derive(Clone)]
pub struct MaglevHash<H> {
    key: H,
    table: MadeAnew<Maglev>,
    size: u32,
    bound: Option<Bound>,
}

impl<H> MaglevHash<H> {
    /// The key of a request is what `key` returns. The table has 65,537 slots.
    pub fn by<Req>(key: H) -> Self
    where
        H: Fn(&Req) -> Option<u64>,
    {
        Self {
            key,
            table: MadeAnew::new(Maglev::new::<&str>(&[])),
            size: 65_537,
            bound: None,
        }
    }

    /// With a table of so many slots: a prime, and at least a hundred for each endpoint.
    ///
    /// # Errors
    ///
    /// If it is no prime, or over 5,000,011.
    pub fn table_size(mut self, slots: u32) -> Result<Self, InvalidPolicy> {
        self.table = MadeAnew::new(Maglev::with_size::<&str>(&[], slots)?);
        self.size = slots;
        Ok(self)
    }

    /// See [`RingHash::bounded`].
    ///
    /// # Errors
    ///
    /// If it is less than 100.
    pub fn bounded(mut self, percent: u32) -> Result<Self, InvalidPolicy> {
        self.bound = Some(Bound::new(percent)?);
        Ok(self)
    }
}

impl<H, E, Req> Picker<E, Req> for MaglevHash<H>
where
    H: Fn(&Req) -> Option<u64>,
    E: Named<Load: Into<f64>>,
{
    const BY_REQUEST: bool = true;
    const TRACKS: bool = true;

    fn pick<C: PickContext>(
        &mut self,
        endpoints: &E,
        request: Option<&Req>,
        cx: &mut C,
    ) -> Option<usize> {
        let hash = request.and_then(&self.key).unwrap_or_else(|| cx.next_u64());
        let (table, ids) = self.table.renewed(endpoints, |table, endpoints| {
            // The size was checked when it was set.
            if let Ok(new) = Maglev::with_size(endpoints, self.size) {
                *table = new;
            }
        });
        let id = |member: usize| ids[member];
        first(endpoints, &mut self.bound, || table.walk(hash).map(id), cx)
    }

    fn inserted(&mut self, _endpoints: &E, id: usize) {
        self.bound.iter_mut().for_each(Bound::forget);
        self.table.insert(id);
    }

    fn removed(&mut self, id: usize) {
        self.bound.iter_mut().for_each(Bound::forget);
        self.table.remove(id);
    }
}

/// The first endpoint of the way that is ready, and has room if there is a bound. If none has, the first that is ready; and
/// any, if none is on the way.
fn first<E, W>(
    endpoints: &E,
    bound: &mut Option<Bound>,
    walk: impl Fn() -> W,
    cx: &mut impl PickContext,
) -> Option<usize>
where
    E: Endpoints<Load: Into<f64>>,
    W: Iterator<Item = usize>,
{
    let ready = || walk().filter_map(|id| endpoints.index_of(id));
    if let Some(bound) = bound {
        bound.renew(endpoints);
        if let Some(index) = ready().find(|&index| bound.has_room(endpoints, index)) {
            return Some(index);
        }
    }
    let any = || match endpoints.ready_len() as u64 {
        0 => None,
        ready => Some(cx.next_range(0..ready) as usize),
    };
    ready().next().or_else(any)
}

/// How many requests an endpoint may have, of all that are in flight.
#[derive(Clone)]
struct Bound {
    limit: BoundedLoad,
    /// Of all, as of some picks ago.
    active: u64,
    weights: u64,
    /// How many were ready then.
    ready: usize,
    /// So many picks until they are counted anew.
    renew_in: usize,
}

impl Bound {
    fn new(percent: u32) -> Result<Self, InvalidPolicy> {
        Ok(Self {
            limit: BoundedLoad::new(percent)?,
            active: 0,
            weights: 0,
            ready: 0,
            renew_in: 0,
        })
    }

    /// To count all costs a step for each; so it is done once for a sixteenth as many picks, which is a step or two for each.
    fn renew<E: Endpoints<Load: Into<f64>>>(&mut self, endpoints: &E) {
        let ready = endpoints.ready_len();
        let about_as_many = self.ready / 2 <= ready && ready / 2 <= self.ready;
        if self.renew_in > 0 && about_as_many {
            self.renew_in -= 1;
            return;
        }
        let all = || 0..ready;
        self.active = all()
            .map(|index| active(endpoints, index))
            .fold(0, u64::saturating_add);
        self.weights = all().map(|index| u64::from(endpoints.weight(index))).sum();
        self.ready = ready;
        self.renew_in = ready / 16;
    }

    /// The endpoints are others now.
    fn forget(&mut self) {
        self.renew_in = 0;
    }

    fn has_room<E: Endpoints<Load: Into<f64>>>(&self, endpoints: &E, index: usize) -> bool {
        // With the request that comes.
        let active = active(endpoints, index).saturating_add(1);
        !self
            .limit
            .is_over(active, endpoints.weight(index), self.active, self.weights)
    }
}

fn active<E: Endpoints<Load: Into<f64>>>(endpoints: &E, index: usize) -> u64 {
    // Of what is no number, and of what is negative, it is 0.
    endpoints.load(index).into() as u64
}

/// A table or a ring that is made anew with each change of its endpoints.
#[derive(Clone)]
struct MadeAnew<T> {
    table: T,
    /// The numbers of the endpoints that it is made of, in its order.
    ids: Vec<usize>,
    all: BTreeSet<usize>,
    changed: bool,
}

impl<T> MadeAnew<T> {
    const fn new(table: T) -> Self {
        Self {
            table,
            ids: Vec::new(),
            all: BTreeSet::new(),
            changed: false,
        }
    }

    fn insert(&mut self, id: usize) {
        self.all.insert(id);
        self.changed = true;
    }

    fn remove(&mut self, id: usize) {
        self.changed |= self.all.remove(&id);
    }

    /// The table, made anew by `renew` if there was a change since the last time, and its endpoints.
    fn renewed<E: Named>(
        &mut self,
        endpoints: &E,
        renew: impl FnOnce(&mut T, &[(String, u32)]),
    ) -> (&T, &[usize]) {
        if std::mem::take(&mut self.changed) {
            let named = self.all.iter();
            let named = named.filter_map(|&id| Some((endpoints.name(id)?, id)));
            let mut named: Vec<_> = named.collect();
            // In the same order for all balancers, whatever came first.
            named.sort_unstable();
            let (names, ids): (Vec<_>, _) = named.into_iter().unzip();
            renew(&mut self.table, &names);
            self.ids = ids;
        }
        (&self.table, &self.ids)
    }
}

impl<H> fmt::Debug for RingHash<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingHash").finish_non_exhaustive()
    }
}

impl<H> fmt::Debug for MaglevHash<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaglevHash").finish_non_exhaustive()
    }
}

use std::collections::BTreeSet;
use std::fmt;

use super::{Endpoints, Named, PickContext, Picker};
#[cfg(feature = "ketama")]
use crate::policy::Ketama;
use crate::policy::{BoundedLoad, InvalidPolicy, Maglev, Ring, StableRing, Walk};

/// Consistent hashing on a ring: requests with the same key go to the same endpoint, while it exists and is ready.
///
/// A closure returns the key of a request, for example the [`xxh64`](crate::policy::hash::xxh64) of a header. If it
/// returns `None`, a random endpoint is picked. `tower_balance::http` has closures for headers, cookies and paths. An
/// endpoint that is not ready is skipped: the next one on the ring is picked. The weight of an endpoint is read when it
/// is added.
///
/// By default the ring is a [`StableRing`], on which a change of the endpoints moves only the keys that have to move.
/// For the ring of Envoy and gRPC, use [`compatible`](Self::compatible); for that of nginx, use `ketama`, behind the
/// feature of that name.
#[derive(Clone)]
pub struct RingHash<H> {
    key: H,
    ring: AnyRing,
    bound: Option<Bound>,
}

#[derive(Clone)]
enum AnyRing {
    Stable(StableRing),
    Compatible(Rebuilt<CompatibleRing>),
}

#[derive(Clone)]
enum CompatibleRing {
    Envoy {
        ring: Ring,
        min: usize,
        max: usize,
    },
    #[cfg(feature = "ketama")]
    Nginx(Ketama),
}

impl CompatibleRing {
    fn rebuild(&mut self, endpoints: &[(String, u32)]) {
        match self {
            Self::Envoy { ring, min, max } => {
                // The sizes were validated when they were set.
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
    /// Hashes requests by the key that `key` returns.
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

    /// Sets the number of points per unit of weight. By default 160. If weights exceed a few tens, use fewer: the ring
    /// has at most 8,388,608 points, and endpoints that do not fit on it receive requests only if no other endpoint is
    /// ready.
    ///
    /// # Errors
    ///
    /// If `points` is not from 1 to 8,388,608.
    pub fn points_per_weight(mut self, points: usize) -> Result<Self, InvalidPolicy> {
        self.ring = AnyRing::Stable(StableRing::new(points)?);
        Ok(self)
    }

    /// Maps keys like the ring of Envoy and gRPC with `min` to `max` points; their defaults are 1024 and 4096. The ring
    /// is rebuilt with each change of the endpoints.
    ///
    /// # Errors
    ///
    /// If `1 <= min <= max <= 8,388,608` does not hold.
    pub fn compatible(mut self, min: usize, max: usize) -> Result<Self, InvalidPolicy> {
        let ring = Ring::with_size::<&str>(&[], min, max)?;
        self.ring = AnyRing::Compatible(Rebuilt::new(CompatibleRing::Envoy { ring, min, max }));
        Ok(self)
    }

    /// Maps keys like nginx and Pingora: see [`Ketama`]. The key must be a [`Ketama::hash`]. The ring is rebuilt with
    /// each change of the endpoints.
    #[cfg(feature = "ketama")]
    pub fn ketama(mut self) -> Self {
        let ring = CompatibleRing::Nginx(Ketama::new::<&str>(&[]));
        self.ring = AnyRing::Compatible(Rebuilt::new(ring));
        self
    }

    /// Bounds the requests in flight of an endpoint to `percent` of its share: see [`BoundedLoad`]. Requests above the
    /// bound go to the next endpoint on the ring. 120 to 200 are typical. The load must be a number of requests in
    /// flight. By default there is no bound.
    ///
    /// # Errors
    ///
    /// If `percent` is less than 100.
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
            AnyRing::Compatible(rebuilt) => {
                let (ring, ids) = rebuilt.get(endpoints, CompatibleRing::rebuild);
                let id = |member: usize| ids[member];
                first(endpoints, bound, || ring.walk(hash).map(id), cx)
            }
        }
    }

    fn inserted(&mut self, endpoints: &E, id: usize) {
        self.bound.iter_mut().for_each(Bound::invalidate);
        match &mut self.ring {
            AnyRing::Compatible(rebuilt) => rebuilt.insert(id),
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
        self.bound.iter_mut().for_each(Bound::invalidate);
        match &mut self.ring {
            AnyRing::Compatible(rebuilt) => rebuilt.remove(id),
            AnyRing::Stable(ring) => drop(ring.remove(id)),
        }
    }
}

/// Consistent hashing with a Maglev table, which finds the endpoint of a key in constant time: see [`Maglev`].
///
/// Otherwise like [`RingHash`]. The table is rebuilt with each change of the endpoints, which moves a few more keys
/// than necessary.
#[derive(Clone)]
pub struct MaglevHash<H> {
    key: H,
    table: Rebuilt<Maglev>,
    size: u32,
    bound: Option<Bound>,
}

impl<H> MaglevHash<H> {
    /// Hashes requests by the key that `key` returns. The table has 65,537 slots.
    pub fn by<Req>(key: H) -> Self
    where
        H: Fn(&Req) -> Option<u64>,
    {
        Self {
            key,
            table: Rebuilt::new(Maglev::new::<&str>(&[])),
            size: 65_537,
            bound: None,
        }
    }

    /// Sets the number of slots of the table: a prime, which should be at least a hundred times the number of
    /// endpoints. By default 65,537.
    ///
    /// # Errors
    ///
    /// If `slots` is not prime, or greater than 5,000,011.
    pub fn table_size(mut self, slots: u32) -> Result<Self, InvalidPolicy> {
        self.table = Rebuilt::new(Maglev::with_size::<&str>(&[], slots)?);
        self.size = slots;
        Ok(self)
    }

    /// Bounds the requests in flight of an endpoint: see [`RingHash::bounded`].
    ///
    /// # Errors
    ///
    /// If `percent` is less than 100.
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
    fn pick<C: PickContext>(
        &mut self,
        endpoints: &E,
        request: Option<&Req>,
        cx: &mut C,
    ) -> Option<usize> {
        let hash = request.and_then(&self.key).unwrap_or_else(|| cx.next_u64());
        let (table, ids) = self.table.get(endpoints, |table, endpoints| {
            // The size was validated when it was set.
            if let Ok(new) = Maglev::with_size(endpoints, self.size) {
                *table = new;
            }
        });
        let id = |member: usize| ids[member];
        first(endpoints, &mut self.bound, || table.walk(hash).map(id), cx)
    }

    fn inserted(&mut self, _endpoints: &E, id: usize) {
        self.bound.iter_mut().for_each(Bound::invalidate);
        self.table.insert(id);
    }

    fn removed(&mut self, id: usize) {
        self.bound.iter_mut().for_each(Bound::invalidate);
        self.table.remove(id);
    }
}

/// Returns the first endpoint of the walk that is ready and below the bound. If all are above it, returns the first
/// that is ready; if there is none on the walk, returns a random ready endpoint.
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
        bound.update(endpoints);
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

/// Bounds the requests in flight of each endpoint, relative to those of all.
#[derive(Clone)]
struct Bound {
    limit: BoundedLoad,
    /// The sum of the requests in flight of all endpoints, at the last update.
    active: u64,
    weights: u64,
    /// The number of ready endpoints at the last update.
    ready: usize,
    /// The number of picks until the sums are updated.
    update_in: usize,
}

impl Bound {
    fn new(percent: u32) -> Result<Self, InvalidPolicy> {
        Ok(Self {
            limit: BoundedLoad::new(percent)?,
            active: 0,
            weights: 0,
            ready: 0,
            update_in: 0,
        })
    }

    /// Updates the sums, once per n/16 picks. An update takes a step per endpoint, so this is about 16 steps per pick.
    fn update<E: Endpoints<Load: Into<f64>>>(&mut self, endpoints: &E) {
        let ready = endpoints.ready_len();
        let about_as_many = self.ready / 2 <= ready && ready / 2 <= self.ready;
        if self.update_in > 0 && about_as_many {
            self.update_in -= 1;
            return;
        }
        let all = || 0..ready;
        self.active = all()
            .map(|index| active(endpoints, index))
            .fold(0, u64::saturating_add);
        self.weights = all().map(|index| u64::from(endpoints.weight(index))).sum();
        self.ready = ready;
        self.update_in = ready / 16;
    }

    /// Called when the endpoints have changed, so that the next pick updates the sums.
    fn invalidate(&mut self) {
        self.update_in = 0;
    }

    fn has_room<E: Endpoints<Load: Into<f64>>>(&self, endpoints: &E, index: usize) -> bool {
        // Includes the new request.
        let active = active(endpoints, index).saturating_add(1);
        !self
            .limit
            .is_over(active, endpoints.weight(index), self.active, self.weights)
    }
}

fn active<E: Endpoints<Load: Into<f64>>>(endpoints: &E, index: usize) -> u64 {
    // The cast maps NaN and negative loads to 0.
    endpoints.load(index).into() as u64
}

/// A table or a ring that is rebuilt with each change of its endpoints.
#[derive(Clone)]
struct Rebuilt<T> {
    table: T,
    /// The numbers of its endpoints, in its order.
    ids: Vec<usize>,
    all: BTreeSet<usize>,
    changed: bool,
}

impl<T> Rebuilt<T> {
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

    /// Returns the table and its endpoints, after rebuilding it with `rebuild` if the endpoints have changed.
    fn get<E: Named>(
        &mut self,
        endpoints: &E,
        rebuild: impl FnOnce(&mut T, &[(String, u32)]),
    ) -> (&T, &[usize]) {
        if std::mem::take(&mut self.changed) {
            let named = self.all.iter();
            let named = named.filter_map(|&id| Some((endpoints.name(id)?, id)));
            let mut named: Vec<_> = named.collect();
            // The same order in all balancers, whatever the order of discovery.
            named.sort_unstable();
            let (names, ids): (Vec<_>, _) = named.into_iter().unzip();
            rebuild(&mut self.table, &names);
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

use std::collections::HashMap;
use std::fmt;

use super::{Endpoints, Hints, Named, PickContext, Picker};
use crate::policy::Zones;
use crate::policy::priority::{Health, LevelLoad, Overflow};

/// Chooses a priority level and a zone first, and then an endpoint in them with the picker `P`.
///
/// The endpoints of the first priority receive all requests while enough of them are ready, with an overprovisioning
/// factor of 140 %; requests beyond that go to the next priority, and so on: see [`priority`](crate::policy::priority).
/// Within a level, if the [zones](Self::zones) are known, requests stay in the client's zone as far as its endpoints
/// have the capacity: see [`Zones`].
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::convert::Infallible;
/// use futures::stream;
/// use tower_balance::p2c::Balance;
/// use tower_balance::picker::{Levels, Locality, P2c};
/// use tower_discover::Change;
/// use tower_load::Constant;
/// use tower_service::Service;
/// use tower_util::{ServiceExt, service_fn};
///
/// let endpoints = ["main-1", "main-2", "spare-1"].map(|name| {
///     let endpoint = service_fn(move |()| std::future::ready(Ok::<_, Infallible>(name)));
///     Ok::<_, Infallible>(Change::Insert(name, Constant::new(endpoint, 0_u32)))
/// });
/// let levels = Levels::new(P2c::new(), |name: &str| Locality {
///     priority: usize::from(name.starts_with("spare")),
///     ..Locality::default()
/// });
/// let mut balance = Balance::builder(stream::iter(endpoints)).pick(levels).build();
/// for _ in 0..100 {
///     let name = balance.ready().await.unwrap().call(()).await.unwrap();
///     assert!(name.starts_with("main"));
/// }
/// # }
/// ```
///
/// Each level and each of its zones has its own copy of `P`, which sees only the endpoints of that group. A
/// [`PrequalPicker`](super::PrequalPicker) is not `Clone`, so it cannot be used here.
///
/// # Cost
///
/// The cost of `P` and two random numbers per pick, and a step for each endpoint whenever the ready set has changed.
#[derive(Clone)]
pub struct Levels<P, F> {
    inner: P,
    locality: F,
    overflow: Overflow,
    /// The client's own zone, and the number of clients in each zone.
    zones: Option<(usize, Vec<u32>)>,
    members: HashMap<usize, Locality>,
    /// The generation of the ready set that `levels` reflects.
    generation: Option<u64>,
    levels: Vec<Level<P>>,
}

/// The priority and the zone of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Locality {
    /// The priority: 0 is preferred to 1, and so on. Values over 127 count as 127.
    pub priority: usize,
    /// The zone. Values over 127 count as 127.
    pub zone: usize,
}

#[derive(Clone)]
struct Level<P> {
    load: LevelLoad,
    /// The number of endpoints, ready or not.
    hosts: usize,
    all: Part<P>,
    by_zone: Vec<Part<P>>,
    zones: Option<Zones>,
}

/// A level, or one zone of it.
#[derive(Clone)]
struct Part<P> {
    /// The indices of its ready endpoints, in ascending order.
    ready: Vec<usize>,
    picker: P,
}

impl<P> Part<P> {
    const fn new(picker: P) -> Self {
        Self {
            ready: Vec::new(),
            picker,
        }
    }
}

impl<P, F> Levels<P, F>
where
    F: Fn(&str) -> Locality,
{
    /// Creates a picker that chooses with `inner` among the endpoints of a level; `locality` returns the locality of
    /// the endpoint with a given name.
    pub fn new(inner: P, locality: F) -> Self {
        Self {
            inner,
            locality,
            overflow: Overflow::default(),
            zones: None,
            members: HashMap::new(),
            generation: None,
            levels: Vec::new(),
        }
    }

    /// Sets when requests of a level go to the next one. By default [`Overflow::default`], with an overprovisioning
    /// factor of 140 % and a panic threshold of 50 %.
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Enables zone-aware routing: the client is in zone `own`, and `clients` are the numbers of clients in each zone,
    /// of which the first 128 are used. By default zones are ignored.
    #[must_use]
    pub fn zones(mut self, own: usize, clients: impl IntoIterator<Item = u32>) -> Self {
        self.zones = Some((
            own.min(MAX_NUMBER),
            clients.into_iter().take(MAX_NUMBER + 1).collect(),
        ));
        self
    }

    fn renew<E: Endpoints>(&mut self, endpoints: &E) {
        let generation = endpoints.generation();
        if self.generation == Some(generation) {
            return;
        }
        self.generation = Some(generation);
        for level in &mut self.levels {
            level.all.ready.clear();
            level.by_zone.iter_mut().for_each(|zone| zone.ready.clear());
        }
        for index in 0..endpoints.ready_len() {
            if let Some(locality) = self.members.get(&endpoints.id(index)) {
                let level = &mut self.levels[locality.priority];
                level.all.ready.push(index);
                level.by_zone[locality.zone].ready.push(index);
            }
        }
        let health = self.levels.iter().map(|level| Health {
            healthy: level.all.ready.len(),
            hosts: level.hosts,
        });
        let loads = self.overflow.loads(&health.collect::<Vec<_>>());
        for (level, load) in self.levels.iter_mut().zip(loads) {
            level.load = load;
            level.zones = None;
            if let Some((own, clients)) = self.zones.as_ref().filter(|_| !load.panic) {
                let hosts = level.by_zone.iter().map(|zone| zone.ready.len() as u32);
                level.zones = Zones::new(clients, &hosts.collect::<Vec<_>>(), *own);
            }
        }
    }

    /// Draws a level that has ready endpoints, at random in proportion to its traffic.
    fn draw(&mut self, cx: &mut impl PickContext) -> Option<&mut Level<P>> {
        let mut percent = cx.next_range(0..100) as u32;
        let drawn = self.levels.iter().position(|level| {
            let hit = percent < level.load.percent;
            percent = percent.saturating_sub(level.load.percent);
            hit
        });
        if let Some(drawn) = drawn.filter(|drawn| !self.levels[*drawn].all.ready.is_empty()) {
            return self.levels.get_mut(drawn);
        }
        // In panic, levels without ready endpoints have a share too. It is spread evenly over all ready endpoints.
        let ready = self.levels.iter().map(|level| level.all.ready.len() as u64);
        let ready = ready.sum::<u64>();
        if ready == 0 {
            return None;
        }
        let mut left = cx.next_range(0..ready) as usize;
        self.levels.iter_mut().find(|level| {
            let count = level.all.ready.len();
            let hit = left < count;
            left = left.saturating_sub(count);
            hit
        })
    }
}

impl<P, F, E, Req> Picker<E, Req> for Levels<P, F>
where
    F: Fn(&str) -> Locality,
    E: Named,
    P: for<'a> Picker<Group<'a, E>, Req> + Clone,
{
    #[inline]
    fn hints(&self) -> Hints {
        Hints {
            by_request: self.inner.hints().by_request,
            repicks: false,
            tracks: true,
        }
    }

    fn pick<C: PickContext>(
        &mut self,
        endpoints: &E,
        request: Option<&Req>,
        cx: &mut C,
    ) -> Option<usize> {
        self.renew(endpoints);
        let level = self.draw(cx)?;
        let zone = level.zones.as_ref().map(|zones| zones.pick(cx));
        let zone = zone.and_then(|zone| level.by_zone.get_mut(zone));
        let Part { ready, picker } = zone
            .filter(|zone| !zone.ready.is_empty())
            .unwrap_or(&mut level.all);
        let group = Group {
            endpoints,
            group: ready,
        };
        let index = picker.pick(&group, request, cx)?;
        ready.get(index).copied()
    }

    fn inserted(&mut self, endpoints: &E, id: usize) {
        <Self as Picker<E, Req>>::removed(self, id);
        let Some((name, _)) = endpoints.name(id) else {
            return;
        };
        let Locality { priority, zone } = (self.locality)(&name);
        let (priority, zone) = (priority.min(MAX_NUMBER), zone.min(MAX_NUMBER));
        self.members.insert(id, Locality { priority, zone });
        let part = || Part::new(self.inner.clone());
        while self.levels.len() <= priority {
            self.levels.push(Level {
                load: LevelLoad::default(),
                hosts: 0,
                all: part(),
                by_zone: Vec::new(),
                zones: None,
            });
        }
        let level = &mut self.levels[priority];
        if level.by_zone.len() <= zone {
            level.by_zone.resize_with(zone + 1, part);
        }
        level.hosts += 1;
        let group = Group {
            endpoints,
            group: &[],
        };
        level.all.picker.inserted(&group, id);
        if self.zones.is_some() {
            level.by_zone[zone].picker.inserted(&group, id);
        }
    }

    fn removed(&mut self, id: usize) {
        self.generation = None;
        if let Some(Locality { priority, zone }) = self.members.remove(&id) {
            let level = &mut self.levels[priority];
            level.hosts -= 1;
            for part in [&mut level.all, &mut level.by_zone[zone]] {
                <P as Picker<Group<'_, E>, Req>>::removed(&mut part.picker, id);
            }
        }
    }
}

/// The endpoints of a level or a zone, as the inner picker of [`Levels`] sees them.
pub struct Group<'a, E: ?Sized> {
    endpoints: &'a E,
    /// The indices of its ready endpoints, in ascending order.
    group: &'a [usize],
}

impl<E: Endpoints> Endpoints for Group<'_, E> {
    type Load = E::Load;

    fn ready_len(&self) -> usize {
        self.group.len()
    }

    fn generation(&self) -> u64 {
        self.endpoints.generation()
    }

    fn load(&self, index: usize) -> E::Load {
        self.endpoints.load(self.group[index])
    }

    fn weight(&self, index: usize) -> u32 {
        self.endpoints.weight(self.group[index])
    }

    fn weight_of(&self, id: usize) -> Option<u32> {
        self.endpoints.weight_of(id)
    }

    fn id(&self, index: usize) -> usize {
        self.endpoints.id(self.group[index])
    }

    fn index_of(&self, id: usize) -> Option<usize> {
        self.group.binary_search(&self.endpoints.index_of(id)?).ok()
    }
}

impl<E: Named> Named for Group<'_, E> {
    fn name(&self, id: usize) -> Option<(String, u32)> {
        self.endpoints.name(id)
    }
}

impl<P: fmt::Debug, F> fmt::Debug for Levels<P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Levels")
            .field("inner", &self.inner)
            .field("overflow", &self.overflow)
            .field("zones", &self.zones)
            .finish_non_exhaustive()
    }
}

impl<E: ?Sized> fmt::Debug for Group<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("ready", &self.group.len())
            .finish_non_exhaustive()
    }
}

/// The maximum priority and zone, which bounds the memory that a large number can take.
const MAX_NUMBER: usize = 127;

use std::collections::HashMap;
use std::fmt;

use super::{Endpoints, Named, PickContext, Picker};
use crate::policy::Zones;
use crate::policy::priority::{Health, LevelLoad, Overflow};

/// Chooses a level and a zone first, and then as `P` does among its endpoints.
///
/// The endpoints of the first priority get all requests while enough of them are ready, with 40 % of reserve; what they cannot
/// bear goes to the next priority, and so on: see [`priority`](crate::policy::priority). Within a level, requests stay in the
/// client's zone as far as its endpoints can bear them, if the [zones](Self::zones) are known: see [`Zones`].
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::convert::Infallible;
/// use futures::stream;
/// use tower_balance::p2c::Balance;
/// use tower_balance::picker::{Levels, P2c, Place};
/// use tower_discover::Change;
/// use tower_load::Constant;
/// use tower_service::Service;
/// use tower_util::{ServiceExt, service_fn};
///
/// let endpoints = ["main-1", "main-2", "spare-1"].map(|name| {
///     let endpoint = service_fn(move |()| std::future::ready(Ok::<_, Infallible>(name)));
///     Ok::<_, Infallible>(Change::Insert(name, Constant::new(endpoint, 0_u32)))
/// });
/// let levels = Levels::new(P2c::new(), |name: &str| Place {
///     priority: usize::from(name.starts_with("spare")),
///     ..Place::default()
/// });
/// let mut balance = Balance::builder(stream::iter(endpoints)).pick(levels).build();
/// for _ in 0..100 {
///     let name = balance.ready().await.unwrap().call(()).await.unwrap();
///     assert!(name.starts_with("main"));
/// }
/// # }
/// ```
///
/// # Cost
///
/// That of `P`, two random numbers, and a step for each endpoint whenever the set of those that are ready has changed.
pub struct Levels<P, F> {
    inner: P,
    place: F,
    overflow: Overflow,
    /// The client's own zone, and how many clients there are in each.
    zones: Option<(usize, Vec<u32>)>,
    members: HashMap<usize, Place>,
    /// As of this generation of the endpoints, or of none.
    generation: Option<u64>,
    levels: Vec<Level>,
}

/// Where an endpoint is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Its level: 0 is preferred to 1, and so on. At most 127; more counts as that.
    pub priority: usize,
    /// Its zone, a number from 0. At most 127; more counts as that.
    pub zone: usize,
}

#[derive(Default)]
struct Level {
    load: LevelLoad,
    /// Of those that are ready, the indices.
    ready: Vec<usize>,
    by_zone: Vec<Vec<usize>>,
    zones: Option<Zones>,
}

impl<P, F> Levels<P, F>
where
    F: Fn(&str) -> Place,
{
    /// Chooses with `inner` among the endpoints of a level; `place` says by its name where an endpoint is.
    pub fn new(inner: P, place: F) -> Self {
        Self {
            inner,
            place,
            overflow: Overflow::default(),
            zones: None,
            members: HashMap::new(),
            generation: None,
            levels: Vec::new(),
        }
    }

    /// How much goes to the next level. By default what is more than 140 % of a level's part.
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// The client is in zone `own`, and there are so many clients in each zone. By default zones do not matter.
    #[must_use]
    pub fn zones(mut self, own: usize, clients: impl IntoIterator<Item = u32>) -> Self {
        self.zones = Some((own, clients.into_iter().collect()));
        self
    }

    fn renew<E: Endpoints>(&mut self, endpoints: &E) {
        let generation = endpoints.generation();
        if self.generation == Some(generation) {
            return;
        }
        self.generation = Some(generation);
        let highest = self.members.values().map(|place| place.priority).max();
        let mut hosts = vec![0; highest.map_or(1, |highest| highest + 1)];
        self.members
            .values()
            .for_each(|place| hosts[place.priority] += 1);
        self.levels.clear();
        self.levels.resize_with(hosts.len(), Level::default);
        for index in 0..endpoints.ready_len() {
            // One that nobody has told of is like all others.
            let place = self
                .members
                .get(&endpoints.id(index))
                .copied()
                .unwrap_or_default();
            let level = &mut self.levels[place.priority.min(hosts.len() - 1)];
            level.ready.push(index);
            if level.by_zone.len() <= place.zone {
                level.by_zone.resize_with(place.zone + 1, Vec::new);
            }
            level.by_zone[place.zone].push(index);
        }
        let health = self
            .levels
            .iter()
            .zip(&hosts)
            .map(|(level, &hosts)| Health {
                healthy: level.ready.len(),
                hosts,
            });
        let loads = self.overflow.loads(&health.collect::<Vec<_>>());
        for (level, load) in self.levels.iter_mut().zip(loads) {
            level.load = load;
            if let Some((own, clients)) = self.zones.as_ref().filter(|_| !load.panic) {
                let hosts: Vec<_> = level.by_zone.iter().map(|zone| zone.len() as u32).collect();
                level.zones = Zones::new(clients, &hosts, *own);
            }
        }
    }
}

impl<P, F, E, Req> Picker<E, Req> for Levels<P, F>
where
    F: Fn(&str) -> Place,
    E: Named,
    P: for<'a> Picker<Group<'a, E>, Req>,
{
    const BY_REQUEST: bool = P::BY_REQUEST;
    const TRACKS: bool = true;

    fn pick<C: PickContext>(
        &mut self,
        endpoints: &E,
        request: Option<&Req>,
        cx: &mut C,
    ) -> Option<usize> {
        self.renew(endpoints);
        let mut percent = cx.next_range(0..100) as u32;
        let drawn = self.levels.iter().find(|level| {
            let hit = percent < level.load.percent;
            percent = percent.saturating_sub(level.load.percent);
            hit
        });
        // A level that is all out has no part; but in panic it may have one.
        let level = drawn.filter(|level| !level.ready.is_empty());
        let level = level.or_else(|| self.levels.iter().find(|level| !level.ready.is_empty()))?;
        let zone = level
            .zones
            .as_ref()
            .and_then(|zones| level.by_zone.get(zones.pick(cx)));
        let group = zone.filter(|zone| !zone.is_empty()).unwrap_or(&level.ready);
        let index = self.inner.pick(&Group { endpoints, group }, request, cx)?;
        group.get(index).copied()
    }

    fn inserted(&mut self, endpoints: &E, id: usize) {
        if let Some((name, _)) = endpoints.name(id) {
            let Place { priority, zone } = (self.place)(&name);
            let place = Place {
                priority: priority.min(MOST),
                zone: zone.min(MOST),
            };
            self.members.insert(id, place);
            self.generation = None;
        }
        let group = Group {
            endpoints,
            group: &[],
        };
        self.inner.inserted(&group, id);
    }

    fn removed(&mut self, id: usize) {
        self.members.remove(&id);
        self.generation = None;
        <P as Picker<Group<'_, E>, Req>>::removed(&mut self.inner, id);
    }
}

/// Some of the endpoints, as the picker of a [`Levels`] sees them.
pub struct Group<'a, E: ?Sized> {
    endpoints: &'a E,
    /// The indices of those that are ready, in ascending order.
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

/// So that nobody fills the memory with numbers.
const MOST: usize = 127;

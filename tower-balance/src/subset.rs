//! Subsetting: each client connects to a subset of the endpoints only, to limit the number of connections if there are
//! many clients and many endpoints.
//!
//! A [`Subset`] wraps discovery: it passes on a subset of the discovered targets, such as addresses, and no service is
//! created for the others.
//!
//! | subset | each client connects to | use it if |
//! |---|---|---|
//! | [`Subset::rendezvous`] | a fixed number of random endpoints, stable over time | clients have no information about each other |
//! | [`Subset::aperture`] | the endpoints in its section of the ring | clients are numbered; all servers then have the same load |
//! | [`Subset::load_band`] | random endpoints, whose number follows the client's load | clients have no information about each other, and their load varies |
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use std::convert::Infallible;
//! use futures::stream::{self, TryStreamExt};
//! use tower_balance::p2c::Balance;
//! use tower_balance::subset::Subset;
//! use tower_discover::Change;
//! use tower_load::{CompleteOnResponse, PendingRequests};
//! use tower_service::Service;
//! use tower_util::{ServiceExt, service_fn};
//!
//! let addresses = (0..100).map(|n| format!("10.0.0.{n}:80"));
//! let all = stream::iter(addresses.map(|address| Ok::<_, Infallible>(Change::Insert(address.clone(), address))));
//! let ours = Subset::rendezvous(all, 5, 42).map_ok(|change| match change {
//!     Change::Insert(key, target) => Change::Insert(key, target.map(|address| {
//!         let service = service_fn(move |()| std::future::ready(Ok::<_, Infallible>(address.clone())));
//!         PendingRequests::new(service, CompleteOnResponse::default())
//!     })),
//!     Change::Remove(key) => Change::Remove(key),
//! });
//! let mut balance = Balance::new(ours);
//! let mut seen = std::collections::BTreeSet::new();
//! for _ in 0..100 {
//!     seen.insert(balance.ready().await.unwrap().call(()).await.unwrap());
//! }
//! assert_eq!(seen.len(), 5);
//! # }
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};
use tower_discover::{Change, Discover, Paced};
use tower_load::pending_requests::Counter;
use tower_load::{Weight, Weighted};

use crate::policy::{Aperture, LoadBand, hash};

pin_project! {
    /// Passes on a subset of the targets of a [`Discover`]; see the [module](self).
    ///
    /// Each target has a [`Weight`]: one that is only partly in an aperture has a smaller weight, for pickers that use
    /// weights. A change of the targets changes the subset as little as possible.
    ///
    /// # Cost
    ///
    /// Per change, with n targets and a subset of m: O(log n + m) for rendezvous hashing and O(n) for an aperture. All
    /// changes that are available at a poll are applied as one. A load band reads the clock at each poll.
    ///
    /// The stream of a load band does not end when its discovery ends.
    #[derive(Debug)]
    pub struct Subset<D>
    where
        D: Discover,
    {
        #[pin]
        discover: Paced<D>,
        rule: Rule,
        // Ordered by hash, then by name. Clients with the same seed have the same order.
        all: BTreeMap<Rank, (D::Key, D::Service)>,
        chosen: BTreeMap<Rank, Weight>,
        // The timer for the next reading of the load, for a load band.
        timer: Option<Pin<Box<Sleep>>>,
        // The targets that were inserted or replaced since the last update.
        replaced: BTreeSet<Rank>,
        // Whether there are changes that have not been applied yet.
        changed: bool,
        changes: VecDeque<Change<D::Key, Weighted<D::Service>>>,
    }
}

/// The hash of a target's name, and the name.
type Rank = (u64, String);

#[derive(Clone, Debug)]
enum Rule {
    Rendezvous {
        size: usize,
        seed: u64,
    },
    Aperture(Aperture),
    LoadBand {
        band: LoadBand,
        seed: u64,
        in_flight: Counter,
        /// The number of requests in flight when it was last read.
        last_in_flight: Option<usize>,
        /// The wanted number of targets.
        size: usize,
    },
}

impl<D> Subset<D>
where
    D: Discover,
{
    /// Chooses `size` of the targets by rendezvous hashing of their names with `seed`, which should differ between
    /// clients: gRPC's random subsetting. When a target is added or removed, at most one other target changes.
    pub const fn rendezvous(discover: D, size: usize, seed: u64) -> Self {
        Self::new(discover, Rule::Rendezvous { size, seed })
    }

    /// Chooses the targets in the aperture of a numbered client: the deterministic aperture of Finagle. If each client
    /// balances by weight over its subset, all servers have the same load.
    pub const fn aperture(discover: D, aperture: Aperture) -> Self {
        Self::new(discover, Rule::Aperture(aperture))
    }

    /// Chooses about as many of the targets as there are requests in flight: the random aperture of Finagle.
    /// `in_flight` counts the requests of the whole balancer, with a
    /// [`PendingRequests::with_counter`](tower_load::PendingRequests::with_counter) around it; `seed` should differ
    /// between clients.
    ///
    /// The load is read at each poll, and at least once per second, so that the subset shrinks even without requests.
    /// This requires a tokio runtime with timers.
    pub fn load_band(discover: D, band: LoadBand, in_flight: Counter, seed: u64) -> Self {
        let rule = Rule::LoadBand {
            band,
            seed,
            in_flight,
            last_in_flight: None,
            size: 0,
        };
        Self::new(discover, rule)
    }

    const fn new(discover: D, rule: Rule) -> Self {
        Self {
            discover: Paced::new(discover),
            rule,
            all: BTreeMap::new(),
            chosen: BTreeMap::new(),
            timer: None,
            replaced: BTreeSet::new(),
            changed: false,
            changes: VecDeque::new(),
        }
    }
}

impl Rule {
    fn rank(&self, name: String) -> Rank {
        match self {
            Self::Rendezvous { seed, .. } | Self::LoadBand { seed, .. } => {
                (hash::xxh64(name.as_bytes(), *seed), name)
            }
            Self::Aperture(_) => (0, name),
        }
    }

    /// Returns the chosen targets with their weights.
    fn choose<T>(&self, all: &BTreeMap<Rank, T>) -> BTreeMap<Rank, u32> {
        match self {
            Self::Rendezvous { size, .. } | Self::LoadBand { size, .. } => {
                let first = all.keys().take(*size);
                first.map(|rank| (rank.clone(), FULL_WEIGHT)).collect()
            }
            Self::Aperture(aperture) => {
                let mut ranks = all.keys().enumerate();
                // Yielded in the order of their indices.
                let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
                let chosen = aperture
                    .equal(count)
                    .into_iter()
                    .filter_map(|(index, part)| {
                        let (_, rank) = ranks.find(|(at, _)| *at == index)?;
                        Some((rank.clone(), (part * f64::from(FULL_WEIGHT)).round() as u32))
                    });
                chosen.collect()
            }
        }
    }
}

impl Rule {
    /// Reads the load if it has changed or is `due`. Returns whether the wanted number of targets has changed.
    fn resize(&mut self, targets: usize, due: bool) -> bool {
        let Self::LoadBand {
            band,
            in_flight,
            last_in_flight,
            size,
            ..
        } = self
        else {
            return false;
        };
        let now_in_flight = in_flight.get();
        // The first targets must not wait for a change of the load.
        let first = *size == 0 && targets > 0;
        if *last_in_flight == Some(now_in_flight) && !due && !first {
            return false;
        }
        *last_in_flight = Some(now_in_flight);
        let wanted = band.update(now_in_flight, targets, Instant::now());
        std::mem::replace(size, wanted) != wanted
    }
}

impl<D> Stream for Subset<D>
where
    D: Discover,
    D::Key: Clone + Display,
    D::Service: Clone,
{
    type Item = Result<Change<D::Key, Weighted<D::Service>>, D::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            if let Some(change) = this.changes.pop_front() {
                return Poll::Ready(Some(Ok(change)));
            }
            if this.discover.has_ended() && !matches!(this.rule, Rule::LoadBand { .. }) {
                return Poll::Ready(None);
            }
            // Take all available changes before applying them.
            let due = match &mut this.timer {
                Some(timer) => timer.as_mut().poll(cx).is_ready(),
                None => false,
            };
            if due {
                *this.timer = None;
            }
            *this.changed |= this.rule.resize(this.all.len(), due);
            let mut is_all = false;
            for _ in 0..CHANGES_PER_BATCH {
                let change = match this.discover.has_ended() {
                    true => Poll::Pending,
                    false => this.discover.as_mut().poll_change(cx),
                };
                match change {
                    Poll::Ready(Some(Ok(Change::Insert(key, target)))) => {
                        let rank = this.rule.rank(key.to_string());
                        // Another key with the same name replaces it.
                        if let Some((old, _)) = this.all.get(&rank)
                            && *old != key
                            && this.chosen.remove(&rank).is_some()
                        {
                            this.changes.push_back(Change::Remove(old.clone()));
                        }
                        this.all.insert(rank.clone(), (key, target));
                        this.replaced.insert(rank);
                        *this.changed = true;
                    }
                    Poll::Ready(Some(Ok(Change::Remove(key)))) => {
                        let rank = this.rule.rank(key.to_string());
                        this.all.remove(&rank);
                        if this.chosen.remove(&rank).is_some() {
                            this.changes.push_back(Change::Remove(key));
                        }
                        *this.changed = true;
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                    Poll::Ready(None) => *this.changed = true,
                    Poll::Pending if *this.changed => {
                        is_all = true;
                        break;
                    }
                    Poll::Pending => {
                        // The load may change without a change of the targets.
                        if matches!(this.rule, Rule::LoadBand { .. }) {
                            let timer = this
                                .timer
                                .get_or_insert_with(|| Box::pin(sleep(READ_INTERVAL)));
                            if timer.as_mut().poll(cx).is_ready() {
                                cx.waker().wake_by_ref();
                            }
                        }
                        return Poll::Pending;
                    }
                }
            }
            // The first targets may have been added, or the last one removed.
            this.rule.resize(this.all.len(), false);
            let chosen = this.rule.choose(this.all);
            this.chosen.retain(|rank, _| {
                let stays = chosen.contains_key(rank);
                if !stays && let Some((key, _)) = this.all.get(rank) {
                    this.changes.push_back(Change::Remove(key.clone()));
                }
                stays
            });
            for (rank, weight) in chosen {
                match this.chosen.get(&rank) {
                    Some(handle) if !this.replaced.contains(&rank) => handle.set(weight),
                    _ => {
                        if let Some((key, target)) = this.all.get(&rank) {
                            let target = Weighted::new(target.clone(), weight);
                            this.chosen.insert(rank, target.handle());
                            this.changes.push_back(Change::Insert(key.clone(), target));
                        }
                    }
                }
            }
            this.replaced.clear();
            *this.changed = false;
            if this.changes.is_empty() && !is_all && !this.discover.has_ended() {
                // None of these changes affects the subset, and there are more: yield to other tasks.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }
}

/// The weight of a target that is completely in the aperture.
const FULL_WEIGHT: u32 = 1000;
/// The maximum number of changes that are taken before they are applied.
const CHANGES_PER_BATCH: usize = 100_000;
/// The maximum time between two readings of the load.
const READ_INTERVAL: Duration = Duration::from_secs(1);
